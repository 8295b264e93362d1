//! `imgbuild lock`, and builds by what it writes.

mod builds;
mod messages;
mod offline;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use crate::{
    support::{cli::TestContext, image},
    tools::run,
};

/// A web server of one file, which can be stopped.
struct Web {
    address: SocketAddr,
    file: Arc<Mutex<Vec<u8>>>,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Web {
    fn start(file: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (file, stopped) =
            (Arc::new(Mutex::new(file.as_bytes().to_vec())), Arc::new(AtomicBool::new(false)));
        let (served, ends) = (Arc::clone(&file), Arc::clone(&stopped));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                let lines = BufReader::new(&stream).lines();
                lines.take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty())).for_each(drop);
                let body = served.lock().unwrap().clone();
                let head = format!(
                    "HTTP/1.1 200 x\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: {}\r\n\
                     Connection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
            }
        });
        Self { address, file, stopped, thread: Some(thread) }
    }

    fn url(&self) -> String {
        format!("http://{}/dir/file.txt", self.address)
    }

    fn change(&self, file: &str) {
        *self.file.lock().unwrap() = file.as_bytes().to_vec();
    }

    fn stop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.stopped.store(true, Ordering::SeqCst);
            // Wakes it.
            drop(TcpStream::connect(self.address));
            thread.join().unwrap();
        }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Pushes an image of one file with its name, for two platforms.
#[track_caller]
fn push(name: &str, path: &str, text: &str) {
    let ctx = TestContext::new();
    ctx.write(
        "imgbuild.yaml",
        format!(
            "platforms: [linux/amd64, linux/arm64]\nfrom: scratch\nlayers:\n  - write: {{path: {path}, text: {text}}}\n  \
             - write: {{path: /arch, text: '${{TARGETARCH}}'}}\n"
        ),
    );
    run(&mut ctx.command(&["build", "-q", "-t", name, "--push"]));
}

impl TestContext {
    fn lock_text(&self) -> String {
        std::fs::read_to_string(self.project().join("imgbuild.lock")).unwrap()
    }

    /// Runs the program, which must succeed: what it said on both streams.
    #[track_caller]
    fn told(&self, arguments: &[&str]) -> String {
        let done = self.run(arguments);
        assert!(done.status.success(), "{arguments:?}: {}", self.describe(&done));
        String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned()
    }

    /// Runs the program, which must fail: its status and what it said.
    #[track_caller]
    fn refuses(&self, arguments: &[&str]) -> (i32, String) {
        let done = self.run(arguments);
        assert!(!done.status.success(), "{arguments:?}: {}", self.describe(&done));
        (done.status.code().unwrap_or(-1), String::from_utf8_lossy(&done.stderr).into_owned())
    }

    /// Builds into a layout: the images in it.
    #[track_caller]
    fn images(&self, arguments: &[&str]) -> Vec<image::Image> {
        let out = self.project().with_file_name("layout");
        let _ = std::fs::remove_dir_all(&out);
        let output = format!("type=oci,dest={}", out.display());
        self.told(&[&["build", "-o", &output], arguments].concat());
        image::images(&out)
    }
}
