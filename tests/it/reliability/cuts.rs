//! Cutting the work off in the middle. The engine names the places it passes, and so does other work
//! whose lane is its portal; what is armed for a lane unwinds the task at that place, as a crash would end it: nothing after it runs, an open
//! transaction goes with its connection, the lease stays.

use std::collections::HashMap;
use std::fmt::{Debug, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, Once};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Where operations name their places, and where other work does.
const TARGETS: [&str; 2] = ["portal_billing::operation", "portal_billing::place"];

/// Every place the engine of operations names, in the order it passes them.
pub(super) const PLACES: [&str; 6] = [
    "storing", "stored", "sending", "answered", "settling", "settled",
];

/// Where one lane is cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// One of [`PLACES`], or of other work's.
    pub(super) place: &'static str,
    /// At which passing of it, counted from 1.
    pub(super) nth: u32,
}

static ARMED: LazyLock<Mutex<HashMap<String, Vec<Cut>>>> = LazyLock::new(Mutex::default);
static HAPPENED: AtomicUsize = AtomicUsize::new(0);
static INSTALLED: Once = Once::new();

/// Listens to the places, and with `PORTAL_BILLING_TEST_LOG` shows what the service warns of.
pub(super) fn listen() {
    INSTALLED.call_once(|| {
        let shows = super::setting("LOG").is_some();
        tracing::subscriber::set_global_default(Cutter { shows }).unwrap();
    });
}

/// Cuts the work of a lane off.
pub(super) fn arm(lane: &str, cut: Cut) {
    listen();
    let mut armed = ARMED.lock().unwrap();
    armed.entry(lane.to_owned()).or_default().push(cut);
}

/// Whether all cuts of a lane have happened.
pub(super) fn are_done(lane: &str) -> bool {
    let armed = ARMED.lock().unwrap();
    armed.get(lane).is_none_or(Vec::is_empty)
}

/// Ends all cutting of a lane; gives what did not happen.
pub(super) fn disarm(lane: &str) -> Vec<Cut> {
    ARMED.lock().unwrap().remove(lane).unwrap_or_default()
}

/// Ends all cutting.
pub(super) fn disarm_all() {
    ARMED.lock().unwrap().clear();
}

/// Whether the passing of this place is the one to be cut off at.
fn is_due(passing: &Passing) -> bool {
    let mut armed = ARMED.lock().unwrap();
    let Some(cuts) = armed.get_mut(&passing.lane) else {
        return false;
    };
    for cut in cuts.iter_mut().filter(|cut| cut.place == passing.place) {
        cut.nth -= 1;
    }
    let before = cuts.len();
    cuts.retain(|cut| cut.nth > 0);
    let due = cuts.len() < before;
    HAPPENED.fetch_add(usize::from(due), Ordering::SeqCst);
    due
}

/// How many cuts have happened in this process.
pub(super) fn happened() -> usize {
    HAPPENED.load(Ordering::SeqCst)
}

#[derive(Default)]
struct Passing {
    place: String,
    lane: String,
}

impl Visit for Passing {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "place" => value.clone_into(&mut self.place),
            "lane" => value.clone_into(&mut self.lane),
            _ => {}
        }
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn Debug) {}
}

/// Listens to the places; nothing else is even put together.
struct Cutter {
    shows: bool,
}

/// An event's fields, as they come.
struct Shown(String);

impl Visit for Shown {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a text does not fail.
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl Subscriber for Cutter {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let warns = *metadata.level() <= Level::WARN;
        TARGETS.contains(&metadata.target())
            || self.shows && warns && metadata.target().starts_with("portal_billing")
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    #[expect(clippy::print_stderr, reason = "shown to whoever asked for it")]
    fn event(&self, event: &Event<'_>) {
        if !TARGETS.contains(&event.metadata().target()) {
            let mut shown = Shown(String::new());
            event.record(&mut shown);
            eprintln!("{}{}", event.metadata().level(), shown.0);
            return;
        }
        let mut passing = Passing::default();
        event.record(&mut passing);
        if is_due(&passing) {
            // Without the hook that prints panics: this one is meant.
            std::panic::resume_unwind(Box::new("cut off by a test"));
        }
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

/// A cut is of its lane, its place and its passing, and happens once.
#[test]
fn a_cut_happens_where_it_is_armed_and_nowhere_else() {
    let passing = |lane: &str, place: &str| Passing {
        place: place.to_owned(),
        lane: lane.to_owned(),
    };
    arm(
        "test lane",
        Cut {
            place: "sending",
            nth: 2,
        },
    );
    assert!(!is_due(&passing("another lane", "sending")));
    assert!(!is_due(&passing("test lane", "answered")));
    assert!(!is_due(&passing("test lane", "sending")));
    assert!(!are_done("test lane"));
    assert!(is_due(&passing("test lane", "sending")));
    assert!(are_done("test lane"));
    assert!(!is_due(&passing("test lane", "sending")));
    assert_eq!(disarm("test lane"), []);
}
