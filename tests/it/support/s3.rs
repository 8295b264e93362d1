//! A server of S3, and of what else of AWS is asked for: moto's, which the first test that wants it installs into a virtual environment of Python.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::tools::{Daemon, free_port, run, tool};

/// moto with what its S3 needs, and what its server is written with.
const PACKAGES: [&str; 3] = ["moto[s3]==5.2.5", "flask", "flask-cors"];

/// The user and the password that ECR gives everybody for a registry.
pub const ECR_USER: (&str, &str) = ("AWS", "123456789012-auth-token");

/// moto's server on the loopback interface, with a bucket named `cache`.
pub struct S3 {
    host: String,
    _daemon: Daemon,
    _folder: TempDir,
}

impl S3 {
    /// A server that takes any credentials.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// A server that knows nobody's credentials.
    pub fn start_closed() -> Self {
        // moto asks for credentials after this many requests: the one that makes the bucket is free.
        Self::start_with(&[("INITIAL_NO_AUTH_ACTION_COUNT", "1")])
    }

    fn start_with(variables: &[(&str, &str)]) -> Self {
        let (folder, port) = (TempDir::new().unwrap(), free_port());
        let mut serve = Command::new(installed().join("bin/moto_server"));
        serve.args(["-H", "127.0.0.1", "-p", &port.to_string()]).envs(variables.iter().copied());
        let mut daemon = Daemon::start(&mut serve, folder.path().join("log"));
        let host = format!("127.0.0.1:{port}");
        daemon.wait_until("moto's server", || TcpStream::connect(&host).is_ok());
        let this = Self { host, _daemon: daemon, _folder: folder };
        this.send("PUT", "/cache");
        this
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.host)
    }

    /// Variables for keys that it takes, and its address.
    pub fn variables(&self) -> BTreeMap<String, String> {
        let url = self.url();
        let pairs =
            [("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "hunter2"), ("AWS_ENDPOINT_URL", &url)];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    /// Does something with ECR, and gives its answer.
    pub fn ecr(&self, action: &str, body: &str) -> serde_json::Value {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        let (host, length) = (&self.host, body.len());
        let name = "AWS4-HMAC-SHA256 Credential=AKIA/20260101/eu-west-1/ecr/aws4_request";
        let target = format!("AmazonEC2ContainerRegistry_V20150921.{action}");
        let head = format!("Host: {host}\r\nContent-Length: {length}\r\nAuthorization: {name}");
        let kind = format!("Content-Type: application/x-amz-json-1.1\r\nX-Amz-Target: {target}");
        write!(stream, "POST / HTTP/1.0\r\n{head}\r\n{kind}\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, json) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    /// The names of all objects, sorted.
    pub fn names(&self) -> Vec<String> {
        let list = self.send("GET", "/cache?list-type=2");
        list.split("<Key>").skip(1).filter_map(|rest| Some(rest.split_once('<')?.0.to_owned())).collect()
    }

    /// Sends a request, and gives the whole answer.
    pub fn send(&self, method: &str, path: &str) -> String {
        self.send_body(method, path, b"")
    }

    /// The same, with a body.
    pub fn send_body(&self, method: &str, path: &str, body: &[u8]) -> String {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        let (host, length) = (&self.host, body.len());
        // moto lets nobody replace what another has written, and believes any name.
        let name = "AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/s3/aws4_request";
        let head = format!("Host: {host}\r\nContent-Length: {length}\r\nAuthorization: {name}");
        write!(stream, "{method} {path} HTTP/1.0\r\n{head}\r\n\r\n").unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// The virtual environment. One test makes it, and others wait.
fn installed() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("moto");
    let lock = File::create(folder.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    let (marker, packages) = (folder.join("installed"), PACKAGES.join(" "));
    if fs::read_to_string(&marker).ok().as_deref() != Some(&packages) {
        let _ = fs::remove_dir_all(&folder);
        run(tool("python3", "python3-venv").args(["-m", "venv"]).arg(&folder));
        run(Command::new(folder.join("bin/pip"))
            .args(["install", "-q", "--disable-pip-version-check"])
            .args(PACKAGES));
        fs::write(marker, packages).unwrap();
    }
    folder
}
