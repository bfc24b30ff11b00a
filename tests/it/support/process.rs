//! The binary as it runs in production, with everything it says kept for searching.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

/// Longest start on a busy machine.
const START: Duration = Duration::from_mins(1);

/// A running `portal-billing serve`.
pub(crate) struct Process {
    pub(crate) base_url: String,
    child: Option<Child>,
    reader: Option<JoinHandle<String>>,
}

impl Process {
    pub(crate) fn start(environment: &BTreeMap<String, String>, settings: &[String]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portal-billing"));
        command.arg("serve");
        for setting in settings {
            command.args(["--set", setting]);
        }
        let mut child = command
            .env_clear()
            .envs(environment)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (found, address) = channel();
        let output = child.stderr.take().unwrap();
        let reader = std::thread::spawn(move || {
            let mut log = String::new();
            for line in BufReader::new(output).lines() {
                let line = line.unwrap();
                let entry: Value = serde_json::from_str(&line).unwrap_or_default();
                if let Some(address) = entry["address"].as_str() {
                    // Nobody waits for it a second time.
                    let _ = found.send(address.to_owned());
                }
                log.push_str(&line);
                log.push('\n');
            }
            log
        });
        Self {
            base_url: format!("http://{}", wait(&address)),
            child: Some(child),
            reader: Some(reader),
        }
    }

    /// Asks it to stop as an orchestrator does, waits for it, gives its log.
    pub(crate) fn stop(mut self) -> String {
        let mut child = self.child.take().unwrap();
        let id = child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(told.success());
        assert!(
            child.wait().unwrap().success(),
            "a graceful end is a success"
        );
        self.reader.take().unwrap().join().unwrap()
    }
}

fn wait(address: &Receiver<String>) -> String {
    // It says where it listens, unless it could not start.
    address.recv_timeout(START).unwrap()
}

impl Process {
    /// Ends it as a crash of the machine does: without a word.
    pub(crate) fn kill(mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // The test has failed already; only the process is left to be ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
