//! `imgbuild inspect` for people.

use std::time::Duration;

use super::inspect::{Inspected, InspectedPlatform};
use crate::{
    oci::Healthcheck,
    report::{bytes, seconds},
};

/// The image in words. Text from the image is shown without control characters.
pub(super) fn text(image: &Inspected) -> String {
    let mut page = Page::default();
    page.row(0, "Name", &image.name);
    page.row(0, "Digest", &image.digest.to_string());
    page.row(0, "Media type", &image.media_type);
    for platform in &image.platforms {
        page.0.push_str(&format!("\n{}\n", plain(&platform.platform)));
        page.platform(platform);
    }
    page.0
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn row(&mut self, indent: usize, name: &str, value: &str) {
        let name = format!("{:indent$}{name}:", "");
        self.0.push_str(&format!("{name:15} {}\n", plain(value)));
    }

    fn some(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.row(2, name, value);
        }
    }

    /// A value a line; the name in front of the first.
    fn list<T: AsRef<str>>(&mut self, name: &str, values: impl IntoIterator<Item = T>) {
        let mut first = true;
        for value in values {
            match first {
                true => self.row(2, name, value.as_ref()),
                false => self.0.push_str(&format!("{:15} {}\n", "", plain(value.as_ref()))),
            }
            first = false;
        }
    }

    fn platform(&mut self, image: &InspectedPlatform) {
        let config = &image.config;
        self.row(2, "Manifest", &image.digest.to_string());
        self.row(2, "Config", &image.config_digest.to_string());
        self.some("Created", image.created.as_deref());
        self.some("User", config.user.as_deref());
        self.some("Workdir", config.working_dir.as_deref());
        self.some("Entrypoint", config.entrypoint.as_deref().map(command).as_deref());
        self.some("Cmd", config.cmd.as_deref().map(command).as_deref());
        self.some("Shell", config.shell.as_deref().map(command).as_deref());
        self.list("Env", &config.env);
        self.list("Ports", &config.exposed_ports);
        self.list("Volumes", &config.volumes);
        self.some("Stop signal", config.stop_signal.as_deref());
        self.some("Healthcheck", config.healthcheck.as_ref().map(healthcheck).as_deref());
        self.list("Onbuild", &config.on_build);
        self.list("Labels", config.labels.iter().map(|(key, value)| format!("{key}={value}")));
        self.list("Annotations", image.annotations.iter().map(|(key, value)| format!("{key}={value}")));
        self.row(2, "Layers", &format!("{}, {}", image.layers.len(), bytes(image.size)));
        for (number, layer) in image.layers.iter().enumerate() {
            let kind = layer.media_type.rsplit(['.', '+']).next().unwrap_or_default();
            self.0.push_str(&format!(
                "{:>5}  {} {:>9}  {}\n",
                number + 1,
                layer.digest,
                bytes(layer.size),
                plain(kind)
            ));
        }
        if !image.history.is_empty() {
            self.row(2, "History", &image.history.len().to_string());
        }
        let mut layer = 0;
        for entry in &image.history {
            let number = match entry.empty_layer {
                true => "-".to_owned(),
                false => {
                    layer += 1;
                    layer.to_string()
                }
            };
            let by = entry.created_by.as_deref().or(entry.comment.as_deref()).unwrap_or("");
            self.0.push_str(&format!("{number:>5}  {}\n", plain(by)));
        }
    }
}

/// A command as a JSON list: no doubt about where an argument ends.
fn command(words: &[String]) -> String {
    format!("{words:?}")
}

fn healthcheck(check: &Healthcheck) -> String {
    let mut text = command(check.test.as_deref().unwrap_or_default());
    let times = [
        ("every", check.interval),
        ("timeout", check.timeout),
        ("start period", check.start_period),
        ("start interval", check.start_interval),
    ];
    for (name, nanoseconds) in times {
        if let (Ok(nanoseconds), true) = (u64::try_from(nanoseconds), nanoseconds > 0) {
            text.push_str(&format!(", {name} {}", seconds(Duration::from_nanos(nanoseconds))));
        }
    }
    if check.retries > 0 {
        text.push_str(&format!(", retries {}", check.retries));
    }
    text
}

fn plain(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => ' ',
            c if c.is_control() => '?',
            c => c,
        })
        .collect()
}
