//! The key of this process, kept until shortly before it ends.

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use super::{AwsError, Key, Result, obtain::Asking, origin::Origin};
use crate::registry::Client;

/// How far is gone to find a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// What somebody has set up: on most machines, asking for a machine's own role takes time and gives nothing.
    SetUp,
    /// Also the role of the machine.
    Machine,
}

/// The key of this process. Whoever needs it waits for the one who gets it.
#[derive(Debug, Default)]
pub(in crate::registry) struct Keys(Mutex<Option<Key>>);

impl Keys {
    /// Forgets the key, because a service refused it.
    pub(in crate::registry) async fn forget(&self, refused: &Key) {
        let mut kept = self.0.lock().await;
        if kept.as_ref() == Some(refused) {
            *kept = None;
        }
    }
}

impl Client {
    /// The access key for services of AWS in a region. The sources are asked once, and again when the key ends.
    pub(crate) async fn aws_key(&self, region: &str, reach: Reach) -> Result<Key> {
        let mut kept = self.inner.aws.0.lock().await;
        let soon = Timestamp::now() + SignedDuration::from_mins(5);
        if let Some(key) = kept.as_ref().filter(|key| key.expires.is_none_or(|expires| expires > soon)) {
            return Ok(key.clone());
        }
        let sources = self.inner.settings.credentials.aws();
        let asking = Asking { client: self, sources, region };
        let key = match Origin::find(sources)? {
            Some(origin) => asking.key(&origin).await?,
            None if reach == Reach::SetUp || sources.text("AWS_EC2_METADATA_DISABLED") == Some("true") => {
                return Err(nothing(None));
            }
            None => asking.key(&Origin::Instance).await.map_err(|error| nothing(Some(&error)))?,
        };
        *kept = Some(key.clone());
        Ok(key)
    }
}

fn nothing(machine: Option<&AwsError>) -> AwsError {
    let asked = ["the environment", "~/.aws/credentials and ~/.aws/config", "the container's role"];
    let mut asked: Vec<String> = asked.map(str::to_owned).into();
    if let Some(AwsError::Source { source_name, problem, .. }) = machine {
        asked.push(format!("{source_name} ({problem})"));
    }
    AwsError::Nothing { asked }
}
