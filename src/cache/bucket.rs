//! A bucket of S3, or of what speaks its protocol, as a cache: `PREFIX/entries/<hex>.json` and
//! `PREFIX/blobs/sha256/<hex>`.
//!
//! Every object is written by one request that shows it whole or not at all, under a name that its content or its key
//! decides, so that writers beside each other only ever add. Nothing is asked on conditions, which not every such store
//! knows.

use std::{fmt, path::Path as FilePath, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt, future::BoxFuture};
use object_store::{
    BackoffConfig, ClientOptions, CredentialProvider, ObjectStore, ObjectStoreExt, RetryConfig,
    WriteMultipart,
    aws::{AmazonS3Builder, AwsCredential},
    client::{HttpClient, HttpConnector},
    path::Path,
};
use tokio::{io::AsyncReadExt, sync::OnceCell};
use url::{Host, Url};

use super::{
    Bucket, CacheError, Result,
    backend::{Answer, New, little, name_of},
    document, receive,
};
use crate::{
    error::{Explain, Kind},
    oci::{Descriptor, Digest},
    registry::{AwsKey, AwsReach, Client, Patience},
    store::{Store, StoreError},
};

/// The bytes of a part of what is uploaded in parts. S3 takes at least 5 MiB, and 10,000 parts.
const PART: u64 = 16 << 20;
const MOST_PARTS: u64 = 10_000;

/// How many parts of one blob are on their way at a time: they are in memory.
const AT_ONCE: usize = 3;

/// A bucket that is reached when it is first asked for something.
#[derive(Clone)]
pub(super) struct Objects {
    bucket: Bucket,
    client: Client,
    stores: Arc<OnceCell<Stores>>,
}

/// The bucket for questions, which a build waits for, and for what takes its time.
struct Stores {
    asking: Box<dyn ObjectStore>,
    moving: Box<dyn ObjectStore>,
}

// By hand: the client of S3 holds credentials.
impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Objects").field(&self.bucket).finish()
    }
}

impl Objects {
    pub(super) fn new(bucket: Bucket, client: &Client) -> Self {
        Self { bucket, client: client.clone(), stores: Arc::default() }
    }

    async fn stores(&self) -> Result<&Stores> {
        let connect = async || {
            let patience = self.client.patience();
            let open = |patience| open(&self.bucket, &self.client, patience);
            Ok(Stores { asking: open(little(patience))?, moving: open(patience)? })
        };
        self.stores.get_or_try_init(connect).await
    }

    fn entry_path(&self, key: &Digest) -> Path {
        Path::from(format!("{}/entries/{}.json", self.bucket.prefix, name_of(key)))
    }

    fn blob_path(&self, digest: &Digest) -> Path {
        Path::from(format!("{}/blobs/{}/{}", self.bucket.prefix, digest.algorithm(), digest.hex()))
    }

    fn failed(&self, action: &str) -> impl FnOnce(object_store::Error) -> CacheError {
        let action = format!("{action} the bucket {}", self.bucket.name);
        move |error| failed(action, &error)
    }

    pub(super) async fn get(&self, key: &Digest) -> Result<Option<Answer>> {
        let failed = || self.failed("read an entry of");
        let found = match self.stores().await?.asking.get(&self.entry_path(key)).await {
            Ok(found) => found,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(failed()(error)),
        };
        if found.meta.size > document::LARGEST as u64 {
            let problem = format!("it has {} bytes", found.meta.size);
            return Err(CacheError::Damaged { key: Box::new(*key), problem });
        }
        let document = found.bytes().await.map_err(failed())?.to_vec();
        Ok(Some(Answer { document, blobs: None }))
    }

    pub(super) async fn has_blob(&self, blob: &Descriptor) -> Result<bool> {
        match self.stores().await?.asking.head(&self.blob_path(&blob.digest)).await {
            Ok(meta) => Ok(meta.size == blob.size),
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(self.failed("look for a blob in")(error)),
        }
    }

    pub(super) async fn fetch(&self, blob: &Descriptor, store: &Store) -> Result<()> {
        let failed = || self.failed("fetch a blob from");
        let found = match self.stores().await?.moving.get(&self.blob_path(&blob.digest)).await {
            Ok(found) => found,
            Err(error) if is_absent(&error) => {
                return Err(CacheError::Absent { digest: Box::new(blob.digest) });
            }
            Err(error) => return Err(failed()(error)),
        };
        let chunks = found.into_stream().map(|chunk| chunk.map_err(|error| failed()(error)));
        let what = format!("the blob {} of the bucket {}", blob.digest, self.bucket.name);
        receive::into_store(chunks.boxed(), blob, store, what, self.client.patience().idle).await
    }

    pub(super) async fn put(&self, new: New<'_>, store: &Store) -> Result<()> {
        for layer in new.layers {
            let present = match self.has_blob(&layer.descriptor).await {
                // Whoever may not list a bucket is not told that an object is not there.
                Err(error) if error.kind() == Kind::Denied => false,
                other => other?,
            };
            if !present {
                self.put_blob(&layer.descriptor, store).await?;
            }
        }
        let document = Bytes::copy_from_slice(new.document);
        let path = self.entry_path(new.key);
        let put = self.stores().await?.moving.put(&path, document.into()).await;
        put.map(drop).map_err(self.failed("write an entry to"))
    }

    async fn put_blob(&self, blob: &Descriptor, store: &Store) -> Result<()> {
        let file = store.blob_path(&blob.digest);
        let path = self.blob_path(&blob.digest);
        let to = &self.stores().await?.moving;
        let failed = || self.failed("write a blob to");
        if blob.size <= PART {
            let bytes = tokio::fs::read(&file).await.map_err(StoreError::io("read", file))?;
            return to.put(&path, bytes.into()).await.map(drop).map_err(failed());
        }
        let part = blob.size.div_ceil(MOST_PARTS).max(PART) as usize;
        let upload = to.put_multipart(&path).await.map_err(failed())?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, part);
        match send(&mut upload, &file).await {
            Ok(()) => upload.finish().await.map(drop).map_err(failed()),
            Err(error) => {
                // What was wrong is told. What is left there is the bucket's to clear away.
                let _ = upload.abort().await;
                Err(match error {
                    Sending::Read(source) => StoreError::io("read", file)(source).into(),
                    Sending::Send(error) => failed()(error),
                })
            }
        }
    }
}

enum Sending {
    Read(std::io::Error),
    Send(object_store::Error),
}

async fn send(upload: &mut WriteMultipart, path: &FilePath) -> Result<(), Sending> {
    let mut file = tokio::fs::File::open(path).await.map_err(Sending::Read)?;
    let mut chunk = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut chunk).await.map_err(Sending::Read)?;
        if read == 0 {
            return Ok(());
        }
        upload.wait_for_capacity(AT_ONCE).await.map_err(Sending::Send)?;
        upload.write(&chunk[..read]);
    }
}

/// Makes connections as the client of registries makes them: one TLS, the same certificates and proxies.
#[derive(Debug)]
struct Connector {
    web: reqwest::Client,
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.web.clone()))
    }
}

/// Gives the key that the client of registries has for AWS, which is found where AWS's SDKs find it.
#[derive(Debug)]
struct Keys {
    client: Client,
    region: String,
}

impl CredentialProvider for Keys {
    type Credential = AwsCredential;

    fn get_credential<'a, 'b>(&'a self) -> BoxFuture<'b, object_store::Result<Arc<AwsCredential>>>
    where
        'a: 'b,
        Self: 'b,
    {
        let failed = |error| object_store::Error::Unauthenticated {
            path: String::new(),
            source: Box::<dyn std::error::Error + Send + Sync>::from(error),
        };
        Box::pin(async move {
            let key = self.client.aws_key(&self.region, AwsReach::Machine).await.map_err(failed)?;
            let token = key.token.map(|token| token.expose().to_owned());
            let AwsKey { id, secret, .. } = key;
            Ok(Arc::new(AwsCredential { key_id: id, secret_key: secret.expose().to_owned(), token }))
        })
    }
}

fn open(bucket: &Bucket, client: &Client, patience: Patience) -> Result<Box<dyn ObjectStore>> {
    let wrong = |problem: String| CacheError::Remote {
        action: format!("reach the bucket {}", bucket.name),
        problem,
        kind: Kind::Input,
    };
    let (endpoint, path_style) = endpoint(bucket).ok_or_else(|| wrong("its name is none".into()))?;
    let web = client.web_for(&endpoint)?;
    let retry = RetryConfig {
        backoff: BackoffConfig { init_backoff: patience.first, max_backoff: patience.longest, base: 2. },
        max_retries: patience.attempts.saturating_sub(1) as usize,
        retry_timeout: patience.budget,
    };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&bucket.name)
        .with_region(&bucket.region)
        .with_endpoint(endpoint.as_str().trim_end_matches('/'))
        .with_virtual_hosted_style_request(!path_style)
        .with_http_connector(Connector { web })
        .with_retry(retry);
    if !bucket.credentials.contains_key("AWS_ACCESS_KEY_ID") {
        let keys = Keys { client: client.clone(), region: bucket.region.clone() };
        builder = builder.with_credentials(Arc::new(keys));
    }
    for (name, value) in &bucket.credentials {
        let key = name.to_ascii_lowercase().parse();
        let key = key.map_err(|error: object_store::Error| wrong(error.to_string()))?;
        builder = builder.with_config(key, value.expose());
    }
    Ok(Box::new(builder.build().map_err(|error| wrong(error.to_string()))?))
}

/// Where the bucket is, and whether its name is still to come in the path.
fn endpoint(bucket: &Bucket) -> Option<(Url, bool)> {
    let mut url = match &bucket.endpoint {
        Some(url) => url.clone(),
        None => Url::parse(&format!("https://s3.{}.{}", bucket.region, domain(&bucket.region))).ok()?,
    };
    let host = match url.host()? {
        // A name with dots would not fit a certificate for `*.`.
        Host::Domain(host) if !bucket.path_style && !bucket.name.contains('.') => host.to_owned(),
        _ => return Some((url, true)),
    };
    url.set_host(Some(&format!("{}.{host}", bucket.name))).ok()?;
    Some((url, false))
}

/// The domain of a region's services (<https://docs.aws.amazon.com/general/latest/gr/s3.html>).
fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

/// Whether an object is not there. A bucket that is not there is another matter.
fn is_absent(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { .. }) && !deepest(error).contains("NoSuchBucket")
}

fn failed(action: String, error: &object_store::Error) -> CacheError {
    use object_store::Error as E;
    let kind = match error {
        E::NotFound { .. } => Kind::NotFound,
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => Kind::Denied,
        _ => Kind::Network,
    };
    CacheError::Remote { action, problem: words(&deepest(error)), kind }
}

/// What the last cause says: those above it tell of the library.
fn deepest(error: &object_store::Error) -> String {
    let mut error: &dyn std::error::Error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

/// The words of an answer of S3: its code and message, of an XML document (S3's API reference, "Error responses").
fn words(text: &str) -> String {
    let element = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        Some(rest.split_once("</")?.0)
    };
    match (element("Code"), element("Message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ => text.trim().trim_end_matches(':').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_what_sdks_make_of_them() {
        for (name, region, endpoint, path_style, url, in_path) in [
            ("b", "eu-west-1", None, false, "https://b.s3.eu-west-1.amazonaws.com/", false),
            ("b", "cn-north-1", None, false, "https://b.s3.cn-north-1.amazonaws.com.cn/", false),
            ("b.c", "eu-west-1", None, false, "https://s3.eu-west-1.amazonaws.com/", true),
            ("b", "x", Some("https://minio:9000"), false, "https://b.minio:9000/", false),
            ("b", "x", Some("http://minio:9000"), true, "http://minio:9000/", true),
            ("b", "x", Some("http://127.0.0.1:9000"), false, "http://127.0.0.1:9000/", true),
            ("b", "x", Some("http://[::1]:9000/s3"), false, "http://[::1]:9000/s3", true),
        ] {
            let bucket = Bucket {
                name: name.into(),
                region: region.into(),
                prefix: String::new(),
                endpoint: endpoint.map(|url| url.parse().unwrap()),
                path_style,
                credentials: Default::default(),
            };
            let (found, path) = super::endpoint(&bucket).unwrap();
            assert_eq!((found.as_str(), path), (url, in_path), "{name} {endpoint:?}");
        }
    }

    #[test]
    fn answers_are_told_in_their_own_words() {
        for (text, told) in [
            (
                "Server returned non-2xx status code: 403 Forbidden: <?xml version=\"1.0\"?><Error><Code>AccessDenied\
                 </Code><Message>Access Denied</Message></Error>",
                "AccessDenied: Access Denied",
            ),
            ("<Error><Code>SlowDown</Code></Error>", "SlowDown"),
            ("<Code>cut", "<Code>cut"),
            (
                "Server returned non-2xx status code: 403 Forbidden: ",
                "Server returned non-2xx status code: 403 Forbidden",
            ),
        ] {
            assert_eq!(words(text), told);
        }
    }
}
