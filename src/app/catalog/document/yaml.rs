//! YAML as text: scalars stay as they are written, so that `9.99` is never a float.
//!
//! The reader takes one document and is bounded in size, depth and in what aliases expand to. It
//! refuses what could be read in two ways: a key that stands twice, merge keys, tags of other
//! schemas.

use std::collections::{BTreeMap, BTreeSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

use super::DocumentError;

/// Nested mappings and lists.
const MAX_DEPTH: usize = 32;

/// What the document may hold once its aliases are expanded, in the measure of [`cost`].
const MAX_COST: usize = 4 * 1024 * 1024;

/// A value of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// Text, as written between the quotes if there are any.
    Scalar {
        text: String,
        /// Whether it stands without quotes, so that `null` and `true` are not text.
        plain: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the document's order.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// Whether it is the absence of a value.
    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The text of a scalar that is not null.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }

    /// The entries of a mapping.
    pub(super) fn entries(&self) -> Option<&[(String, Node)]> {
        match self {
            Self::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value at a key of a mapping; `None` as well when it is null.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entries()?
            .iter()
            .find(|(own, _)| own == key)
            .map(|(_, value)| value)
            .filter(|value| !value.is_null())
    }

    fn depth(&self) -> usize {
        let deepest = match self {
            Self::Scalar { .. } => return 0,
            Self::List(items) => items.iter().map(Self::depth).max(),
            Self::Map(entries) => entries.iter().map(|(_, value)| value.depth()).max(),
        };
        deepest.unwrap_or_default().saturating_add(1)
    }

    /// Roughly the bytes it takes.
    fn cost(&self) -> usize {
        let inside = match self {
            Self::Scalar { text, .. } => text.len(),
            Self::List(items) => items.iter().map(Self::cost).sum(),
            Self::Map(entries) => entries
                .iter()
                .map(|(key, value)| key.len().saturating_add(value.cost()))
                .sum(),
        };
        inside.saturating_add(size_of::<Self>())
    }
}

/// Reads the one document of `text`.
pub(super) fn read(text: &str) -> Result<Node, DocumentError> {
    let mut reader = Reader::default();
    let mut parser: Parser<'_, StrInput<'_>> = Parser::new_from_str(text);
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|error| DocumentError::NotYaml {
            line: error.marker().line(),
            reason: error.info().to_owned(),
        })?;
        reader.take(event, span)?;
    }
    reader
        .document
        .ok_or(DocumentError::NotAProduct("It is empty."))
}

/// A mapping or list that is not at its end yet.
struct Open {
    anchor: usize,
    node: Node,
    /// The key whose value comes next, in a mapping.
    key: Option<String>,
    /// The keys there were.
    keys: BTreeSet<String>,
}

#[derive(Default)]
struct Reader {
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    document: Option<Node>,
    spent: usize,
}

impl Reader {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), DocumentError> {
        let line = span.start.line();
        match event {
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && !is_text(tag.as_deref(), line)?;
                let text = text.into_owned();
                let node = Node::Scalar { text, plain };
                self.spend(&node)?;
                self.close(anchor, node, line)
            }
            Event::SequenceStart(anchor, tag) => {
                is_text(tag.as_deref(), line)?;
                self.start(anchor, Node::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                is_text(tag.as_deref(), line)?;
                self.start(anchor, Node::Map(Vec::new()))
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => self.close(open.anchor, open.node, line),
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned().ok_or({
                    DocumentError::Unreadable {
                        line,
                        what: "an alias of something that is not complete",
                    }
                })?;
                if self.open.len().saturating_add(node.depth()) > MAX_DEPTH {
                    return Err(DocumentError::TooDeep);
                }
                self.spend(&node)?;
                self.close(0, node, line)
            }
        }
    }

    fn start(&mut self, anchor: usize, node: Node) -> Result<(), DocumentError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(DocumentError::TooDeep);
        }
        self.spend(&node)?;
        self.open.push(Open {
            anchor,
            node,
            key: None,
            keys: BTreeSet::new(),
        });
        Ok(())
    }

    /// Puts a complete value where it belongs.
    fn close(&mut self, anchor: usize, node: Node, line: usize) -> Result<(), DocumentError> {
        if anchor > 0 {
            self.spend(&node)?;
            self.anchors.insert(anchor, node.clone());
        }
        let Some(mut parent) = self.open.pop() else {
            if self.document.is_some() {
                return Err(DocumentError::NotAProduct("It holds several documents."));
            }
            self.document = Some(node);
            return Ok(());
        };
        match &mut parent.node {
            Node::List(items) => items.push(node),
            Node::Map(entries) => match parent.key.take() {
                Some(key) => entries.push((key, node)),
                None => parent.key = Some(new_key(&mut parent.keys, node, line)?),
            },
            Node::Scalar { .. } => {}
        }
        self.open.push(parent);
        Ok(())
    }

    fn spend(&mut self, node: &Node) -> Result<(), DocumentError> {
        self.spent = self.spent.saturating_add(node.cost());
        if self.spent > MAX_COST {
            return Err(DocumentError::TooMuch);
        }
        Ok(())
    }
}

fn new_key(keys: &mut BTreeSet<String>, node: Node, line: usize) -> Result<String, DocumentError> {
    let unreadable = |what| Err(DocumentError::Unreadable { line, what });
    match node {
        Node::Scalar { text, plain } if plain && text == "<<" => unreadable("a merge key"),
        Node::Scalar { text, .. } if keys.insert(text.clone()) => Ok(text),
        Node::Scalar { .. } => unreadable("a key that stands twice"),
        Node::List(_) | Node::Map(_) => unreadable("a key that is not text"),
    }
}

/// Whether a tag says that a scalar is text whatever it looks like. Tags of YAML's own types change
/// nothing else, since scalars are read as text; any other tag is refused.
fn is_text(tag: Option<&Tag>, line: usize) -> Result<bool, DocumentError> {
    match tag {
        None => Ok(false),
        Some(tag) if tag.is_yaml_core_schema() => Ok(tag.suffix == "str"),
        Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => Ok(true),
        Some(_) => Err(DocumentError::Unreadable {
            line,
            what: "a tag of another schema",
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn text_at(document: &str, key: &str) -> Option<String> {
        let node = read(document).unwrap();
        node.get(key).and_then(Node::text).map(str::to_owned)
    }

    #[test]
    fn scalars_stay_as_written() {
        for (written, text) in [
            ("9.99", Some("9.99")),
            ("9.990", Some("9.990")),
            ("'9.99'", Some("9.99")),
            ("\"9.99\"", Some("9.99")),
            ("1e3", Some("1e3")),
            ("010", Some("010")),
            (
                "0.1000000000000000055511151231257827",
                Some("0.1000000000000000055511151231257827"),
            ),
            ("!!str 5", Some("5")),
            ("!!float 5", Some("5")),
            ("null", None),
            ("~", None),
            ("", None),
            ("'null'", Some("null")),
            ("!!str null", Some("null")),
        ] {
            assert_eq!(
                text_at(&format!("price: {written}\n"), "price").as_deref(),
                text,
                "{written}"
            );
        }
    }

    #[test]
    fn aliases_are_expanded_within_bounds() {
        assert_eq!(text_at("a: &x 5\nb: *x\n", "b").as_deref(), Some("5"));
        let mut bomb = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
        for level in 1..12 {
            let alias = format!("*a{}", level - 1);
            let list = [alias.as_str(); 8].join(", ");
            writeln!(bomb, "a{level}: &a{level} [{list}]").unwrap();
        }
        assert_eq!(read(&bomb), Err(DocumentError::TooMuch));
        let long = format!(
            "a: &x {}\nb: [{}]\n",
            "y".repeat(100_000),
            "*x, ".repeat(200)
        );
        assert_eq!(read(&long), Err(DocumentError::TooMuch));
        let mut deep = "a0: &a0 [x]\n".to_owned();
        for level in 1..40 {
            writeln!(deep, "a{level}: &a{level} [*a{}]", level - 1).unwrap();
        }
        assert_eq!(read(&deep), Err(DocumentError::TooDeep));
        for circle in ["a: &x [*x]\n", "&x a: *y\n", "&x {a: *x}\n"] {
            assert!(read(circle).is_err(), "{circle}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{}x{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(read(&nested(MAX_DEPTH + 1)), Err(DocumentError::TooDeep));
        for endless in ["[", "{a: ", "- ", "? ", "a: &a [*a, "] {
            assert!(read(&endless.repeat(60_000)).is_err(), "{endless}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let what = |document: &str| match read(document) {
            Err(DocumentError::Unreadable { what, line }) => (what, line),
            other => panic!("{document}: {other:?}"),
        };
        assert_eq!(what("a: 1\na: 2\n"), ("a key that stands twice", 2));
        assert_eq!(what("a: &x {b: 1}\n<<: *x\n"), ("a merge key", 2));
        assert_eq!(what("[a]: 1\n"), ("a key that is not text", 1));
        assert_eq!(what("a: !money 5\n"), ("a tag of another schema", 1));
        assert_eq!(
            read("a: 1\n---\na: 2\n"),
            Err(DocumentError::NotAProduct("It holds several documents."))
        );
        assert!(matches!(
            read("a: [1\nb: 2\n"),
            Err(DocumentError::NotYaml { .. })
        ));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[-a-c0-9:&*!?|>'\"{}\\[\\],#%@` \\n\\t<~.]{0,80}") {
            let _ = read(&text);
        }

        #[test]
        fn no_unicode_text_panics(text in "\\PC{0,60}") {
            let _ = read(&text);
        }
    }
}
