//! Debian's `docker-registry` (distribution 2.8), started for one test.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

/// How it is set up.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Asks for the user `me` with the password `secret`.
    pub basic: bool,
    /// Asks for this user and password instead.
    pub user: Option<(&'static str, &'static str)>,
    /// Speaks TLS with a certificate of an authority of its own.
    pub tls: bool,
    /// Keeps a log of all requests.
    pub log: bool,
}

/// The registry. It is killed when it is dropped, and its storage deleted.
#[derive(Debug)]
pub struct Registry {
    child: Child,
    port: u16,
    ca: Option<Vec<u8>>,
    folder: TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Registry {
    /// Starts it on a free loopback port and waits until it accepts connections.
    ///
    /// # Panics
    ///
    /// If the program is not installed: these tests are not skipped.
    pub fn start(options: Options) -> Self {
        // The port is free when it is chosen, and may be taken when the registry wants it.
        (0..4).find_map(|_| Self::try_start(options).ok()).unwrap_or_else(|| {
            Self::try_start(options).unwrap_or_else(|log| panic!("docker-registry did not start:\n{log}"))
        })
    }

    fn try_start(options: Options) -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut config = format!(
            "version: 0.1\nlog:\n  level: warn\n  accesslog:\n    disabled: {}\nstorage:\n  filesystem:\n    \
             rootdirectory: {}\n  delete:\n    enabled: true\n",
            !options.log,
            at("storage").display()
        );
        if let Some((user, password)) = options.user.or(options.basic.then(Self::user)) {
            // Hashed with bcrypt at its lowest cost.
            let output = Command::new("htpasswd")
                .args(["-nbB", "-C", "4", user, password])
                .output()
                .expect("the program htpasswd (Debian: apache2-utils) is needed for this test");
            assert!(output.status.success());
            fs::write(at("htpasswd"), output.stdout).unwrap();
            config +=
                &format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", at("htpasswd").display());
        }
        config += &format!("http:\n  addr: 127.0.0.1:{port}\n");
        let mut ca = None;
        if options.tls {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
            let key = KeyPair::generate().unwrap();
            let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
            let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
            fs::write(at("tls.crt"), leaf.pem()).unwrap();
            fs::write(at("tls.key"), key.serialize_pem()).unwrap();
            ca = Some(issuer.pem().into_bytes());
            config += &format!(
                "  tls:\n    certificate: {}\n    key: {}\n",
                at("tls.crt").display(),
                at("tls.key").display()
            );
        }
        fs::write(at("config.yml"), config).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(at("config.yml"))
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdin(Stdio::null())
            .stdout(fs::File::create(at("requests")).unwrap())
            .stderr(fs::File::create(at("log")).unwrap())
            .spawn()
            .expect("the program docker-registry (Debian: docker-registry) is needed for this test");
        let mut registry = Self { child, port, ca, folder };
        registry.wait()?;
        Ok(registry)
    }

    fn wait(&mut self) -> Result<(), String> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(address).is_err() {
            let ended = self.child.try_wait().unwrap();
            if ended.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                return Err(format!("({ended:?}) {log}"));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Its name in references.
    pub fn host(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// How many requests came with this method and a path that ends so.
    pub fn count(&self, method: &str, path: &str) -> usize {
        let requests = fs::read_to_string(self.folder.path().join("requests")).unwrap();
        let (begin, end) = (format!("\"{method} "), format!("{path} HTTP/1.1\""));
        requests.lines().filter(|line| line.contains(&begin) && line.contains(&end)).count()
    }

    /// The bytes of all blobs that it holds.
    pub fn stored(&self) -> u64 {
        let mut folders = vec![self.folder.path().join("storage")];
        let mut bytes = 0;
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                    _ if entry.file_name() == "data" => {
                        bytes += entry.metadata().map_or(0, |found| found.len())
                    }
                    _ => {}
                }
            }
        }
        bytes
    }

    /// The certificate authority, as PEM, if it speaks TLS.
    pub fn ca(&self) -> Option<Vec<u8>> {
        self.ca.clone()
    }

    /// Its user and password, if it asks for them.
    pub fn user() -> (&'static str, &'static str) {
        ("me", "secret")
    }
}
