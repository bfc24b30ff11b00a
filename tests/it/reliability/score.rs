//! What each test of the suite has tried and found, one file per test and database, for
//! `scripts/scorecard.py` to put together.

use std::path::PathBuf;

use serde_json::json;

use super::{is_full, seed};
use crate::support::database::Database;

/// Counts the cases of one test.
pub(crate) struct Score {
    id: &'static str,
    engine: Database,
    cases: usize,
    violations: Vec<String>,
}

impl Score {
    pub(crate) fn new(id: &'static str, engine: Database) -> Self {
        Self {
            id,
            engine,
            cases: 0,
            violations: Vec::new(),
        }
    }

    pub(crate) fn count(&mut self, cases: usize) {
        self.cases += cases;
    }

    /// Said at once, too: a run of hours may be broken off.
    #[expect(clippy::print_stderr, reason = "shown to whoever waits for the test")]
    pub(crate) fn violation(&mut self, text: String) {
        eprintln!("{} after {} cases: {text}", self.id, self.cases);
        self.violations.push(text);
    }

    /// Writes the test's line; fails if anything was violated or too little was tried.
    pub(crate) fn close(self, floor: usize) {
        let database = match self.engine {
            Database::Lite => "sqlite",
            Database::Pg => "postgres",
        };
        let line = json!({
            "id": self.id,
            "database": database,
            "tier": if is_full() { "full" } else { "quick" },
            "seed": seed(),
            "cases": self.cases,
            "floor": floor,
            "violations": self.violations,
        });
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("scorecard");
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join(format!("{}-{database}.json", self.id));
        std::fs::write(file, format!("{line}\n")).unwrap();
        assert!(
            self.violations.is_empty(),
            "{} of {} cases, seed {}:\n{}",
            self.violations.len(),
            self.cases,
            seed(),
            self.violations.join("\n")
        );
        assert!(self.cases >= floor, "only {} cases", self.cases);
    }
}
