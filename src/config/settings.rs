//! How a settings table becomes a type: each section is declared once, and its struct, defaults,
//! reader and description all come from that declaration, so none can drift from the others.

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use config::{Value, ValueKind};
use secrecy::{ExposeSecret, SecretString};

/// One thing that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The setting's full name, such as `server.listen`.
    pub setting: String,
    /// Where the value came from, if it was written anywhere.
    pub origin: Option<String>,
    /// What is wrong, without the value of a secret.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.setting)?;
        if let Some(origin) = &self.origin {
            write!(f, " (from {origin})")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Collects problems, so that all of them are named at once.
#[derive(Debug, Default)]
pub(super) struct Problems(pub(super) Vec<Problem>);

impl Problems {
    pub(super) fn push(&mut self, setting: &str, message: impl Into<String>) {
        self.push_from(setting, None, message);
    }

    fn push_from(&mut self, setting: &str, origin: Option<&str>, message: impl Into<String>) {
        self.0.push(Problem {
            setting: setting.to_owned(),
            origin: origin.map(str::to_owned),
            message: message.into(),
        });
    }
}

/// One setting as `check-config --explain` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Full name, such as `server.listen`; `<n>` stands for a place in a list.
    pub name: String,
    /// The environment variable that sets it.
    pub environment: String,
    /// What may be written.
    pub kind: String,
    /// The default as it would be written in TOML; `None` when there is none.
    pub default: Option<String>,
    /// What the setting means.
    pub meaning: String,
    /// Whether the value is a secret, never to be shown.
    pub secret: bool,
}

/// Anything that can stand in a settings table: a value, a list or a section.
pub(super) trait Setting: Sized {
    fn read(value: Value, name: &str, problems: &mut Problems) -> Option<Self>;
    fn describe(default: &Self, name: &str, meaning: &str, out: &mut Vec<Described>);
    fn number(&self) -> Option<u64> {
        None
    }
}

/// A single value. The environment and the flags hold only text, so each value has a text form.
pub(super) trait Leaf: Sized {
    /// Never shown, neither as a default nor in a problem.
    const SECRET: bool = false;
    fn kind() -> String;
    fn parse(text: &str) -> Result<Self, String>;
    /// As it would be written in TOML.
    fn show(&self) -> String;
    fn number(&self) -> Option<u64> {
        None
    }
    /// The text form of a TOML value of a kind that this setting may have.
    fn text_of(kind: ValueKind) -> Option<String> {
        match kind {
            ValueKind::String(text) => Some(text),
            _ => None,
        }
    }
}

pub(super) fn read_leaf<T: Leaf>(value: Value, name: &str, problems: &mut Problems) -> Option<T> {
    let origin = origin_of(&value);
    let found = kind_name(&value.kind);
    let Some(text) = T::text_of(value.kind) else {
        let message = format!("expected {}, found {found}", T::kind());
        problems.push_from(name, origin.as_deref(), message);
        return None;
    };
    match T::parse(&text) {
        Ok(parsed) => Some(parsed),
        Err(message) => {
            problems.push_from(name, origin.as_deref(), message);
            None
        }
    }
}

/// Where a value was written. A section has none: its values may come from several places.
fn origin_of(value: &Value) -> Option<String> {
    value.origin().map(str::to_owned)
}

const fn kind_name(kind: &ValueKind) -> &'static str {
    match kind {
        ValueKind::Nil => "nothing",
        ValueKind::Boolean(_) => "a boolean",
        ValueKind::I64(_) | ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) => {
            "an integer"
        }
        ValueKind::Float(_) => "a float",
        ValueKind::String(_) => "text",
        ValueKind::Table(_) => "a section",
        ValueKind::Array(_) => "a list",
    }
}

/// `PORTAL_BILLING__SECTION__FIELD`.
pub(super) fn environment_name(setting: &str) -> String {
    format!(
        "PORTAL_BILLING__{}",
        setting.replace('.', "__").to_uppercase()
    )
    .replace("<N>", "<n>")
}

pub(super) fn describe_leaf<T: Leaf>(
    default: Option<String>,
    kind: String,
    name: &str,
    meaning: &str,
    out: &mut Vec<Described>,
) {
    out.push(Described {
        name: name.to_owned(),
        environment: environment_name(name),
        kind,
        default,
        meaning: meaning.to_owned(),
        secret: T::SECRET,
    });
}

/// Gives leaves their place in a table: alone, optional, or in a list.
macro_rules! leaf_settings {
    ($($leaf:ty),* $(,)?) => { $(
        impl Setting for $leaf {
            fn read(value: Value, name: &str, problems: &mut Problems) -> Option<Self> {
                super::settings::read_leaf(value, name, problems)
            }
            fn describe(default: &Self, name: &str, meaning: &str, out: &mut Vec<Described>) {
                super::settings::describe_leaf::<Self>(Some(default.show()), Self::kind(), name, meaning, out);
            }
            fn number(&self) -> Option<u64> {
                Leaf::number(self)
            }
        }
    )* };
}
pub(super) use leaf_settings;

impl<T: Leaf> Setting for Option<T> {
    fn read(value: Value, name: &str, problems: &mut Problems) -> Option<Self> {
        read_leaf(value, name, problems).map(Some)
    }
    fn describe(default: &Self, name: &str, meaning: &str, out: &mut Vec<Described>) {
        let shown = default.as_ref().map(T::show);
        describe_leaf::<T>(shown, T::kind(), name, meaning, out);
    }
    fn number(&self) -> Option<u64> {
        self.as_ref().and_then(Leaf::number)
    }
}

impl<T: Leaf> Setting for Vec<T> {
    fn read(value: Value, name: &str, problems: &mut Problems) -> Option<Self> {
        let before = problems.0.len();
        let items = list_items(value, name, problems)?;
        let read = items
            .into_iter()
            .filter_map(|(place, item)| read_leaf(item, &place, problems))
            .collect();
        (problems.0.len() == before).then_some(read)
    }
    fn describe(default: &Self, name: &str, meaning: &str, out: &mut Vec<Described>) {
        let shown: Vec<String> = default.iter().map(T::show).collect();
        let kind = format!(
            "a list of {}, comma separated in the environment",
            T::kind()
        );
        describe_leaf::<T>(
            Some(format!("[{}]", shown.join(", "))),
            kind,
            name,
            meaning,
            out,
        );
    }
}

/// The items of a list with their full names. A list is an array in TOML; in the environment it is
/// either comma separated text or one variable per place (`…__0`, `…__1`).
pub(super) fn list_items(
    value: Value,
    name: &str,
    problems: &mut Problems,
) -> Option<Vec<(String, Value)>> {
    let origin = origin_of(&value);
    let found = kind_name(&value.kind);
    let items: Vec<Value> = match value.kind {
        ValueKind::Array(items) => items,
        ValueKind::String(text) => text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(|item| Value::new(origin.as_ref(), ValueKind::String(item.to_owned())))
            .collect(),
        ValueKind::Table(table) => {
            let mut placed = Vec::with_capacity(table.len());
            for (key, item) in table {
                let Ok(place) = key.parse::<usize>() else {
                    let message = format!("expected a place in the list, found `{key}`");
                    problems.push_from(name, origin_of(&item).as_deref(), message);
                    return None;
                };
                placed.push((place, item));
            }
            placed.sort_by_key(|(place, _)| *place);
            placed.into_iter().map(|(_, item)| item).collect()
        }
        _ => {
            let message = format!("expected a list, found {found}");
            problems.push_from(name, origin.as_deref(), message);
            return None;
        }
    };
    let named = items.into_iter().enumerate();
    Some(
        named
            .map(|(place, item)| (format!("{name}.{place}"), item))
            .collect(),
    )
}

/// An open section whose fields are taken out one by one; what is left over is unknown.
pub(super) struct OpenSection<'a> {
    entries: config::Map<String, Value>,
    name: &'a str,
    known: &'static [&'static str],
}

impl<'a> OpenSection<'a> {
    pub(super) fn open(
        value: Value,
        name: &'a str,
        known: &'static [&'static str],
        problems: &mut Problems,
    ) -> Option<Self> {
        let origin = origin_of(&value);
        let found = kind_name(&value.kind);
        let ValueKind::Table(entries) = value.kind else {
            let message = format!("expected a section, found {found}");
            problems.push_from(name, origin.as_deref(), message);
            return None;
        };
        Some(Self {
            entries,
            name,
            known,
        })
    }

    pub(super) fn field<T: Setting>(
        &mut self,
        key: &str,
        default: T,
        range: Option<RangeInclusive<u64>>,
        problems: &mut Problems,
    ) -> T {
        let Some(value) = self.entries.remove(key) else {
            return default;
        };
        if matches!(value.kind, ValueKind::Nil) {
            return default;
        }
        let name = join(self.name, key);
        let origin = origin_of(&value);
        let Some(read) = T::read(value, &name, problems) else {
            return default;
        };
        if let (Some(range), Some(number)) = (range, read.number())
            && !range.contains(&number)
        {
            let message = format!("must be {}", range_words(&range));
            problems.push_from(&name, origin.as_deref(), message);
            return default;
        }
        read
    }

    pub(super) fn close(self, problems: &mut Problems) {
        let mut left: Vec<_> = self.entries.into_iter().collect();
        left.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (key, value) in left {
            let known = self.known.join(", ");
            let message = format!("unknown setting; known here: {known}");
            let name = join(self.name, &key);
            problems.push_from(&name, origin_of(&value).as_deref(), message);
        }
    }
}

/// The full name of `key` in the section `section`, whose name is empty at the top.
pub(super) fn join(section: &str, key: &str) -> String {
    if section.is_empty() {
        key.to_owned()
    } else {
        format!("{section}.{key}")
    }
}

pub(super) fn range_words(range: &RangeInclusive<u64>) -> String {
    format!("from {} to {}", range.start(), range.end())
}

/// Declares sections. Each field is `name: Type = default[, in range];` and its doc comment is its
/// meaning.
macro_rules! settings {
    ($(
        $(#[doc = $section_doc:literal])*
        pub struct $section:ident {
            $(
                $(#[doc = $doc:literal])*
                $field:ident : $ty:ty = $default:expr $(, in $range:expr)? ;
            )*
        }
    )*) => { $(
        $(#[doc = $section_doc])*
        #[derive(Clone, Debug)]
        pub struct $section {
            $( $(#[doc = $doc])* pub $field: $ty, )*
        }

        impl Default for $section {
            fn default() -> Self {
                Self { $( $field: $default, )* }
            }
        }

        impl Setting for $section {
            fn read(value: Value, name: &str, problems: &mut Problems) -> Option<Self> {
                const KNOWN: &[&str] = &[$( stringify!($field) ),*];
                let mut section = OpenSection::open(value, name, KNOWN, problems)?;
                let read = Self {
                    $( $field: section.field(
                        stringify!($field),
                        $default,
                        settings!(@range $($range)?),
                        problems,
                    ), )*
                };
                section.close(problems);
                Some(read)
            }

            fn describe(default: &Self, name: &str, _meaning: &str, out: &mut Vec<Described>) {
                $( {
                    let first = out.len();
                    let range: Option<RangeInclusive<u64>> = settings!(@range $($range)?);
                    let meaning = concat!($($doc),*).trim();
                    let field = join(name, stringify!($field));
                    Setting::describe(&default.$field, &field, meaning, out);
                    if let (Some(range), Some(described)) = (range, out.get_mut(first)) {
                        described.kind = format!("{} {}", described.kind, range_words(&range));
                    }
                } )*
            }
        }

        impl Setting for Vec<$section> {
            fn read(value: Value, name: &str, problems: &mut Problems) -> Option<Self> {
                let before = problems.0.len();
                let items = list_items(value, name, problems)?;
                let read = items
                    .into_iter()
                    .filter_map(|(place, item)| $section::read(item, &place, problems))
                    .collect();
                (problems.0.len() == before).then_some(read)
            }

            fn describe(_default: &Self, name: &str, meaning: &str, out: &mut Vec<Described>) {
                $section::describe(&$section::default(), &join(name, "<n>"), meaning, out);
            }
        }
    )* };
    (@range) => { None };
    (@range $range:expr) => { Some($range) };
}
pub(super) use settings;

/// Declares an enum whose values are written as fixed words.
macro_rules! choice {
    (
        $(#[$meta:meta])*
        pub enum $name:ident { $( $(#[$variant_meta:meta])* $variant:ident = $word:literal, )* }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $( $(#[$variant_meta])* $variant, )* }

        impl $name {
            /// The word it is written as.
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word, )* }
            }
        }

        impl Leaf for $name {
            fn kind() -> String {
                let words: &[&str] = &[$( $word ),*];
                format!("one of {}", words.join(", "))
            }
            fn parse(text: &str) -> Result<Self, String> {
                match text {
                    $( $word => Ok(Self::$variant), )*
                    _ => Err(format!("expected {}", Self::kind())),
                }
            }
            fn show(&self) -> String {
                quoted(self.as_str())
            }
        }
        leaf_settings!($name);
    };
}
pub(super) use choice;

/// Text as TOML writes it.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

macro_rules! number_leaf {
    ($($number:ty),*) => { $(
        impl Leaf for $number {
            fn kind() -> String {
                "a whole number".to_owned()
            }
            fn parse(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| format!("expected a whole number up to {}", Self::MAX))
            }
            fn show(&self) -> String {
                self.to_string()
            }
            fn number(&self) -> Option<u64> {
                u64::try_from(*self).ok()
            }
            fn text_of(kind: ValueKind) -> Option<String> {
                match kind {
                    ValueKind::String(text) => Some(text),
                    ValueKind::I64(number) => Some(number.to_string()),
                    ValueKind::U64(number) => Some(number.to_string()),
                    _ => None,
                }
            }
        }
    )* };
}
number_leaf!(u16, u32, u64, usize);

impl Leaf for bool {
    fn kind() -> String {
        "true or false".to_owned()
    }
    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| "expected true or false".to_owned())
    }
    fn show(&self) -> String {
        self.to_string()
    }
    fn text_of(kind: ValueKind) -> Option<String> {
        match kind {
            ValueKind::String(text) => Some(text),
            ValueKind::Boolean(truth) => Some(truth.to_string()),
            _ => None,
        }
    }
}

impl Leaf for String {
    fn kind() -> String {
        "text".to_owned()
    }
    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
    fn show(&self) -> String {
        quoted(self)
    }
}

impl Leaf for PathBuf {
    fn kind() -> String {
        "a path".to_owned()
    }
    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self::from(text))
    }
    fn show(&self) -> String {
        quoted(&self.to_string_lossy())
    }
}

impl Leaf for SocketAddr {
    fn kind() -> String {
        "an IP address and port".to_owned()
    }
    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| "expected an IP address and port, such as 127.0.0.1:8080".to_owned())
    }
    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

impl Leaf for SecretString {
    const SECRET: bool = true;
    fn kind() -> String {
        "a secret".to_owned()
    }
    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self::from(text.to_owned()))
    }
    fn show(&self) -> String {
        let shown = if self.expose_secret().is_empty() {
            ""
        } else {
            "[redacted]"
        };
        quoted(shown)
    }
}

leaf_settings!(
    u16,
    u32,
    u64,
    usize,
    bool,
    String,
    PathBuf,
    SocketAddr,
    SecretString
);
