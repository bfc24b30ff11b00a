//! Stripe's search: <https://docs.stripe.com/search>.
//!
//! A clause is `field:"value"`, `field~"part"` or `field>10`, with `-` before it to negate; clauses
//! are joined by `AND` or by `OR`, never both.

use serde_json::{Value, json};

use super::errors::StripeError;
use super::list;
use super::router::{Ctx, Reply};
use crate::account::Account;
use crate::events::Event;
use crate::params::Params;
use crate::registry::RESOURCES;

/// What of a resource can be searched.
pub(crate) struct Searchable {
    /// The `object` of the resource.
    pub(crate) object: &'static str,
    /// Its name in messages and URLs.
    pub(crate) plural: &'static str,
    pub(crate) fields: &'static [(&'static str, Kind)],
}

/// How a field is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Whole (`:`) or, from three characters, in part (`~`).
    Text,
    /// Whole only.
    Token,
    Number,
    Metadata,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Is,
    Contains,
    Above,
    AtLeast,
    Below,
    AtMost,
}

/// What a field is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    /// `null`: the field is not set.
    Nothing,
    Value(String),
}

/// One condition of a query.
#[derive(Debug, PartialEq, Eq)]
struct Clause {
    negated: bool,
    field: String,
    /// The key of `metadata["key"]`.
    key: Option<String>,
    operator: Operator,
    value: Wanted,
}

#[derive(Debug, PartialEq, Eq)]
struct Query {
    clauses: Vec<Clause>,
    any: bool,
}

/// Answers a search call.
///
/// # Errors
/// 400 for a query that cannot be read or names a field that cannot be searched.
pub(crate) fn answer(ctx: &mut Ctx<'_>, params: Params<'_>, over: &Searchable) -> Reply {
    let query = Reader::new(params.required("query")?).query()?;
    for clause in &query.clauses {
        check(clause, over)?;
    }
    let limit = list::limit(params)?;
    let offset = match params.text("page") {
        None => 0,
        Some(page) => usize::from_str_radix(page, 16)
            .map_err(|_| StripeError::invalid(format!("Invalid page: {page}")).param("page"))?,
    };
    let found = find(ctx.account, over, &query, ctx.request.stale);
    let total = found.len();
    let data: Vec<Value> = found.into_iter().skip(offset).take(limit).collect();
    let next = offset + data.len();
    let has_more = next < total;
    let mut body = json!({
        "object": "search_result",
        "data": data,
        "has_more": has_more,
        "next_page": has_more.then(|| format!("{next:x}")),
        "url": ctx.request.path,
    });
    if let (Value::Object(map), true) = (&mut body, params.texts("expand").contains(&"total_count"))
    {
        map.insert("total_count".to_owned(), total.into());
    }
    Ok(body.into())
}

/// What the index knows and the query wants, newest first.
fn find(account: &Account, over: &Searchable, query: &Query, stale: usize) -> Vec<Value> {
    let resource = RESOURCES
        .iter()
        .find(|resource| resource.object == over.object);
    let all = resource
        .map(|resource| (resource.all)(account))
        .unwrap_or_default();
    let lag = account.settings.search_lag_seconds;
    all.into_iter()
        .rev()
        .skip(stale)
        .filter(|object| {
            let id = object.get("id").and_then(Value::as_str).unwrap_or_default();
            if lag <= 0 {
                return matches(query, object, over);
            }
            // The index holds the object as the last event that it has heard of shows it.
            let heard = account.clocks.account_now() - lag;
            let mut events = account.events.by_key("about", id);
            events
                .find(|event| event.recorded <= heard)
                .is_some_and(|event| matches(query, &snapshot(event), over))
        })
        .collect()
}

fn snapshot(event: &Event) -> Value {
    serde_json::from_str(&event.object).unwrap_or_default()
}

fn matches(query: &Query, object: &Value, over: &Searchable) -> bool {
    let mut results = query
        .clauses
        .iter()
        .map(|clause| holds(clause, object, over));
    if query.any {
        results.any(|held| held)
    } else {
        results.all(|held| held)
    }
}

fn holds(clause: &Clause, object: &Value, over: &Searchable) -> bool {
    let field = match (over.object, clause.field.as_str()) {
        ("invoice", "subscription") => object.pointer("/parent/subscription_details/subscription"),
        (_, field) => object.get(field),
    };
    let actual = match &clause.key {
        Some(key) => field.and_then(|map| map.get(key)),
        None => field,
    };
    let actual = actual.filter(|value| !value.is_null());
    let held = match (actual, &clause.value) {
        (actual, Wanted::Nothing) => actual.is_none(),
        (None, Wanted::Value(_)) => false,
        (Some(actual), Wanted::Value(wanted)) => {
            compare(clause.operator, actual, wanted, kind(clause, over))
        }
    };
    held != clause.negated
}

fn kind(clause: &Clause, over: &Searchable) -> Option<Kind> {
    over.fields
        .iter()
        .find(|(name, _)| *name == clause.field)
        .map(|(_, kind)| *kind)
}

fn compare(operator: Operator, actual: &Value, wanted: &str, kind: Option<Kind>) -> bool {
    if kind == Some(Kind::Number) {
        let (Some(actual), Ok(wanted)) = (actual.as_i64(), wanted.parse::<i64>()) else {
            return false;
        };
        return match operator {
            Operator::Is | Operator::Contains => actual == wanted,
            Operator::Above => actual > wanted,
            Operator::AtLeast => actual >= wanted,
            Operator::Below => actual < wanted,
            Operator::AtMost => actual <= wanted,
        };
    }
    let actual = match actual {
        Value::String(text) => text.to_lowercase(),
        // An expandable object is searched by its id.
        other => other
            .get("id")
            .and_then(Value::as_str)
            .map_or_else(|| other.to_string(), str::to_lowercase),
    };
    let wanted = wanted.to_lowercase();
    if operator == Operator::Contains {
        actual.contains(&wanted)
    } else {
        actual == wanted
    }
}

fn check(clause: &Clause, over: &Searchable) -> Result<(), StripeError> {
    let refuse = |message: String| Err(StripeError::invalid(message).param("query"));
    let Some(kind) = kind(clause, over) else {
        return refuse(format!(
            "Field `{}` is an unsupported search field for resource `{plural}`. See http://stripe.com/docs/search#query-fields-for-{plural} for a list of supported fields.",
            clause.field,
            plural = over.plural
        ));
    };
    let fits = match clause.operator {
        Operator::Is => true,
        Operator::Contains => matches!(kind, Kind::Text | Kind::Metadata),
        _ => kind == Kind::Number,
    };
    if !fits || (kind == Kind::Metadata) != clause.key.is_some() {
        return refuse(format!(
            "The operator you used is not supported for the field `{}`.",
            clause.field
        ));
    }
    let is_short = matches!(&clause.value, Wanted::Value(value) if value.chars().count() < 3);
    if clause.operator == Operator::Contains && is_short {
        return refuse("Substring matches need at least three characters.".to_owned());
    }
    Ok(())
}

/// Reads a query from left to right.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text.trim() }
    }

    fn query(mut self) -> Result<Query, StripeError> {
        let mut clauses = vec![self.clause()?];
        let (mut ands, mut ors) = (0, 0);
        loop {
            self.rest = self.rest.trim_start();
            if self.rest.is_empty() {
                break;
            }
            if self.word("OR") {
                ors += 1;
            } else {
                // `AND` may be left out.
                self.word("AND");
                ands += 1;
            }
            clauses.push(self.clause()?);
        }
        if ands > 0 && ors > 0 {
            return Err(StripeError::invalid(
                "Search queries cannot combine `AND` and `OR` operators.",
            )
            .param("query"));
        }
        Ok(Query {
            clauses,
            any: ors > 0,
        })
    }

    fn word(&mut self, word: &str) -> bool {
        let (head, tail) = self
            .rest
            .split_at_checked(word.len())
            .unwrap_or((self.rest, ""));
        let found = head.eq_ignore_ascii_case(word) && tail.starts_with(' ');
        if found {
            self.rest = tail.trim_start();
        }
        found
    }

    fn clause(&mut self) -> Result<Clause, StripeError> {
        let negated = self.take("-");
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.')
            .unwrap_or(self.rest.len());
        let (field, rest) = self.rest.split_at(end);
        self.rest = rest;
        let key = if self.take("[") {
            let key = self.quoted().ok_or_else(unreadable)?;
            if !self.take("]") {
                return Err(unreadable());
            }
            Some(key)
        } else {
            None
        };
        let operator = self.operator().ok_or_else(unreadable)?;
        let value = self.value().ok_or_else(unreadable)?;
        if field.is_empty() {
            return Err(unreadable());
        }
        Ok(Clause {
            negated,
            field: field.to_owned(),
            key,
            operator,
            value,
        })
    }

    fn operator(&mut self) -> Option<Operator> {
        const OPERATORS: [(&str, Operator); 6] = [
            (">=", Operator::AtLeast),
            ("<=", Operator::AtMost),
            (">", Operator::Above),
            ("<", Operator::Below),
            ("~", Operator::Contains),
            (":", Operator::Is),
        ];
        OPERATORS
            .iter()
            .find(|(text, _)| self.take(text))
            .map(|(_, operator)| *operator)
    }

    /// A quoted text, a number, a word.
    fn value(&mut self) -> Option<Wanted> {
        if self.rest.starts_with(['"', '\'']) {
            return self.quoted().map(Wanted::Value);
        }
        let end = self
            .rest
            .find(char::is_whitespace)
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        match word {
            "" => None,
            "null" | "NULL" => Some(Wanted::Nothing),
            word => Some(Wanted::Value(word.to_owned())),
        }
    }

    fn quoted(&mut self) -> Option<String> {
        let mut chars = self.rest.char_indices();
        let (_, quote) = chars.next().filter(|(_, c)| matches!(c, '"' | '\''))?;
        let mut text = String::new();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => text.push(chars.next()?.1),
                c if c == quote => {
                    self.rest = self.rest.get(at + c.len_utf8()..)?;
                    return Some(text);
                }
                c => text.push(c),
            }
        }
        None
    }

    fn take(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
}

fn unreadable() -> StripeError {
    StripeError::invalid(
        "We were unable to parse your search query. Try using the format `metadata[\"key\"]:\"value\"` to query for metadata or key:\"value\" to query for other fields.",
    )
    .param("query")
}

#[cfg(test)]
mod tests {
    use super::{Operator, Reader, Wanted};

    #[test]
    fn queries_are_read_clause_by_clause() {
        let query = Reader::new(r#"-email~"a\"b" AND metadata["k e"]:'v' created>=5 name:null"#)
            .query()
            .unwrap();
        let [email, metadata, created, name] = query.clauses.as_slice() else {
            panic!("{query:?}");
        };
        assert!(email.negated && email.operator == Operator::Contains);
        assert_eq!(email.value, Wanted::Value("a\"b".to_owned()));
        assert_eq!(metadata.key.as_deref(), Some("k e"));
        assert_eq!(created.operator, Operator::AtLeast);
        assert_eq!(created.value, Wanted::Value("5".to_owned()));
        assert_eq!(name.value, Wanted::Nothing);
        assert!(!query.any);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "a",
            "a:",
            ":\"b\"",
            "a[\"b\":\"c\"",
            "a:\"b",
            "a:\"b\" OR c:\"d\" AND e:\"f\"",
            "é",
        ] {
            assert!(Reader::new(text).query().is_err(), "{text}");
        }
    }
}
