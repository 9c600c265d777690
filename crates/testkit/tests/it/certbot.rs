//! certbot, Debian's, in a folder of its own.

use std::{
    path::PathBuf,
    process::{Command, Output},
    time::Duration,
};

use testkit::{
    acme::{self, Pebble},
    process::{Exit, Process},
    programs,
    temporary::Folder,
};

/// A busy machine takes several seconds for Python alone.
const DEADLINE: Duration = Duration::from_secs(90);

/// Whether all is here that these tests need.
pub(crate) fn here() -> bool {
    programs::are_here(acme::PROGRAMS) && programs::are_here(&["certbot", "openssl"])
}

pub(crate) struct Certbot {
    folder: Folder,
}

impl Certbot {
    pub(crate) fn new() -> Self {
        Self { folder: Folder::new() }
    }

    /// `certbot certonly`: how it ended, and everything that it said.
    pub(crate) async fn run(&self, pebble: &Pebble, directory: &str, arguments: &[&str]) -> (Exit, String) {
        let mut command = Command::new("certbot");
        command.args(["certonly", "--non-interactive", "--agree-tos", "--server", directory]);
        command.args(["-m", "someone@example.test"]);
        for name in ["config", "work", "logs"] {
            command.arg(format!("--{name}-dir")).arg(self.folder.path().join(name));
        }
        command.args(arguments).env("REQUESTS_CA_BUNDLE", pebble.ca_file());
        let process = Process::start(command, "certbot", self.folder.path());
        let exit = process.wait(DEADLINE).await;
        // Debian's certbot 2.1 stumbles over refusals when it prints them; its log has them whole.
        let log =
            std::fs::read_to_string(self.folder.path().join("logs/letsencrypt.log")).unwrap_or_default();
        (exit, process.output() + &log)
    }

    /// With a web server of its own at `port`.
    pub(crate) async fn over_http(
        &self,
        pebble: &Pebble,
        directory: &str,
        port: u16,
        name: &str,
        more: &[&str],
    ) -> (Exit, String) {
        let port = port.to_string();
        let mut arguments =
            vec!["--standalone", "--http-01-address", "127.0.0.1", "--http-01-port", &port, "-d", name];
        arguments.extend(more);
        self.run(pebble, directory, &arguments).await
    }

    fn live(&self, name: &str, file: &str) -> PathBuf {
        self.folder.path().join("config/live").join(name).join(file)
    }

    /// What OpenSSL reads in the certificate.
    pub(crate) fn shown(&self, name: &str, what: &str) -> String {
        let output = self.read(name, &[what]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Whether the certificate's time is over then.
    pub(crate) fn ends_within(&self, name: &str, seconds: u32) -> bool {
        !self.read(name, &["-checkend", &seconds.to_string()]).status.success()
    }

    fn read(&self, name: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new("openssl");
        command.args(["x509", "-noout", "-in"]).arg(self.live(name, "cert.pem")).args(arguments);
        command.output().unwrap()
    }

    /// Whether the chain that came leads to this root.
    pub(crate) fn verifies(&self, name: &str, root_pem: &str) -> bool {
        let root = self.folder.path().join("root.pem");
        std::fs::write(&root, root_pem).unwrap();
        let mut command = Command::new("openssl");
        command.arg("verify").arg("-CAfile").arg(root);
        command.arg("-untrusted").arg(self.live(name, "chain.pem")).arg(self.live(name, "cert.pem"));
        command.output().unwrap().status.success()
    }
}
