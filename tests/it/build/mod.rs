//! Builds through the program: a small spec, and the image that comes out of it.

mod accounts;
mod base;
mod config;
mod copy;
mod copy_files;
mod copy_from;
mod emulated;
mod ignore;
mod interrupt;
mod lent_caches;
mod outputs;
mod platforms;
mod remote;
mod reproducible;
mod run;
mod run_mounts;
mod single;
mod split;
mod stages;
mod unpack;
mod why;

use std::{path::PathBuf, process::Output};

use super::support::{
    cli::TestContext,
    image::{self, Image},
};

impl TestContext {
    /// Writes the spec.
    fn spec(&self, text: &str) -> &Self {
        self.write("imgbuild.yaml", text)
    }

    /// Where [`TestContext::build`] writes to.
    pub(crate) fn out(&self) -> PathBuf {
        self.project().with_file_name("out")
    }

    /// Builds what the project's spec says, into a new layout.
    #[track_caller]
    fn build_layout(&self, arguments: &[&str]) -> PathBuf {
        let _ = std::fs::remove_dir_all(self.out());
        let output = format!("type=oci,dest={}", self.out().display());
        let mut all = vec!["build", "-o", &output];
        all.extend(arguments);
        let done = self.run(&all);
        assert!(done.status.success(), "{}", self.describe(&done));
        self.out()
    }

    /// Builds the spec for one platform.
    #[track_caller]
    fn build(&self, spec: &str) -> Image {
        self.build_with(spec, &[])
    }

    #[track_caller]
    fn build_with(&self, spec: &str, arguments: &[&str]) -> Image {
        self.spec(spec);
        image::image(&self.build_layout(arguments))
    }

    /// Checks an image, or the whole store, with `imgbuild validate`.
    #[track_caller]
    fn valid(&self, arguments: &[&str]) {
        let mut all = vec!["validate"];
        all.extend(arguments);
        let done = self.run(&all);
        assert!(done.status.success(), "{}", self.describe(&done));
    }

    /// A build that must fail: its exit code and what it said.
    #[track_caller]
    fn fails(&self, spec: &str, arguments: &[&str]) -> (i32, String) {
        self.spec(spec);
        let mut all = vec!["build"];
        all.extend(arguments);
        let done: Output = self.run(&all);
        assert!(!done.status.success(), "{}", self.describe(&done));
        (done.status.code().unwrap_or(-1), self.filter(&String::from_utf8_lossy(&done.stderr)))
    }
}
