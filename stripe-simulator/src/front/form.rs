//! Form bodies with brackets: `items[0][price]=p&expand[]=a`.

use std::collections::BTreeMap;

use super::errors::StripeError;

/// Limits on hostile input. Stripe publishes none; its own are far above what any SDK sends.
const MAX_PAIRS: usize = 5_000;
const MAX_DEPTH: usize = 16;

/// A decoded form: text at the leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Text(String),
    /// Values of `name[]=…`, in order.
    List(Vec<Form>),
    /// Values of `name[key]=…`; numeric keys are read as list positions where a list is due.
    Map(BTreeMap<String, Form>),
}

impl Form {
    pub(crate) fn empty() -> Self {
        Self::Map(BTreeMap::new())
    }

    /// Decodes a query string or a form body into `into`; later pairs win over earlier ones.
    ///
    /// # Errors
    /// 400 for bytes that are not UTF-8 after decoding, malformed brackets, too many pairs, or
    /// nesting too deep.
    pub(crate) fn decode(into: &mut Self, text: &[u8]) -> Result<(), StripeError> {
        for (count, pair) in text
            .split(|byte| *byte == b'&')
            .filter(|p| !p.is_empty())
            .enumerate()
        {
            if count >= MAX_PAIRS {
                return Err(StripeError::invalid(format!(
                    "Too many parameters: at most {MAX_PAIRS} are accepted."
                ))
                .not_stored());
            }
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let name = percent_decode(halves.next().unwrap_or_default())?;
            let value = percent_decode(halves.next().unwrap_or_default())?;
            let path = split_name(&name)?;
            into.put(&path, value, &name)?;
        }
        Ok(())
    }

    fn put(&mut self, path: &[&str], value: String, name: &str) -> Result<(), StripeError> {
        let Some((key, rest)) = path.split_first() else {
            *self = Self::Text(value);
            return Ok(());
        };
        if key.is_empty() {
            return self.push(rest, value, name);
        }
        if let Self::List(items) = self
            && items.is_empty()
        {
            *self = Self::empty();
        }
        let Self::Map(map) = self else {
            return Err(mixed(name));
        };
        if rest.is_empty() {
            map.insert((*key).to_owned(), Self::Text(value));
            return Ok(());
        }
        let child = map
            .entry((*key).to_owned())
            .or_insert_with(|| Self::List(Vec::new()));
        child.put(rest, value, name)
    }

    /// `a[]=x` appends; `a[][b]=x` continues the last hash until one of its keys repeats.
    fn push(&mut self, rest: &[&str], value: String, name: &str) -> Result<(), StripeError> {
        let Self::List(items) = self else {
            return Err(mixed(name));
        };
        if rest.is_empty() {
            items.push(Self::Text(value));
            return Ok(());
        }
        let first = rest.first().copied().unwrap_or_default();
        let continues = matches!(items.last(), Some(Self::Map(map)) if !map.contains_key(first) || rest.len() > 1);
        if !continues {
            items.push(Self::empty());
        }
        match items.last_mut() {
            Some(last) => last.put(rest, value, name),
            None => Err(mixed(name)),
        }
    }

    /// From a JSON body (`/v2` takes no forms).
    pub(crate) fn from_json(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Text(String::new()),
            serde_json::Value::Bool(flag) => Self::Text(flag.to_string()),
            serde_json::Value::Number(number) => Self::Text(number.to_string()),
            serde_json::Value::String(text) => Self::Text(text),
            serde_json::Value::Array(items) => {
                Self::List(items.into_iter().map(Self::from_json).collect())
            }
            serde_json::Value::Object(map) => Self::Map(
                map.into_iter()
                    .map(|(k, v)| (k, Self::from_json(v)))
                    .collect(),
            ),
        }
    }
}

fn mixed(name: &str) -> StripeError {
    StripeError::invalid(format!(
        "Invalid request: conflicting types for parameter {name}"
    ))
    .param(name)
    .not_stored()
}

/// `a[b][]` → `["a", "b", ""]`.
fn split_name(name: &str) -> Result<Vec<&str>, StripeError> {
    let Some(open) = name.find('[') else {
        return Ok(vec![name]);
    };
    let malformed =
        || StripeError::invalid(format!("Invalid parameter name: {}", shorten(name))).not_stored();
    let (head, mut rest) = name.split_at(open);
    if head.is_empty() {
        return Err(malformed());
    }
    let mut path = vec![head];
    while !rest.is_empty() {
        let inner = rest.strip_prefix('[').ok_or_else(malformed)?;
        let (key, tail) = inner.split_once(']').ok_or_else(malformed)?;
        path.push(key);
        if path.len() > MAX_DEPTH {
            return Err(StripeError::invalid(format!(
                "Parameters are nested too deeply: at most {MAX_DEPTH} levels are accepted."
            ))
            .not_stored());
        }
        rest = tail;
    }
    Ok(path)
}

fn shorten(name: &str) -> String {
    name.chars().take(80).collect()
}

fn percent_decode(text: &[u8]) -> Result<String, StripeError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = rest.next().and_then(hex);
                let low = rest.next().and_then(hex);
                match (high, low) {
                    (Some(high), Some(low)) => high * 16 + low,
                    _ => return Err(invalid_encoding()),
                }
            }
            other => other,
        });
    }
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err(invalid_encoding()),
    }
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

fn invalid_encoding() -> StripeError {
    StripeError::invalid(
        "Invalid request: the parameters are not valid UTF-8 in application/x-www-form-urlencoded form.",
    )
    .not_stored()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Form;

    fn decode(text: &[u8]) -> Result<Form, super::StripeError> {
        let mut form = Form::empty();
        Form::decode(&mut form, text).map(|()| form)
    }

    fn text(value: &str) -> Form {
        Form::Text(value.to_owned())
    }

    fn map(entries: &[(&str, Form)]) -> Form {
        let entries = entries.iter();
        Form::Map(
            entries
                .map(|(name, form)| ((*name).to_owned(), form.clone()))
                .collect(),
        )
    }

    #[test]
    fn brackets_make_hashes_and_lists() {
        let form = decode(b"a=1&b[c]=2&b[d][e]=3&f[]=4&f[]=5&g[0][h]=6&i=%20%2B+").unwrap();
        let b = map(&[("c", text("2")), ("d", map(&[("e", text("3"))]))]);
        let f = Form::List(vec![text("4"), text("5")]);
        let g = map(&[("0", map(&[("h", text("6"))]))]);
        let whole = [
            ("a", text("1")),
            ("b", b),
            ("f", f),
            ("g", g),
            ("i", text(" + ")),
        ];
        assert_eq!(form, map(&whole));
    }

    #[test]
    fn hashes_in_lists_go_on_until_a_key_repeats() {
        let form = decode(b"a[][x]=1&a[][y]=2&a[][x]=3").unwrap();
        let first = map(&[("x", text("1")), ("y", text("2"))]);
        let list = Form::List(vec![first, map(&[("x", text("3"))])]);
        assert_eq!(form, map(&[("a", list)]));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "a[=1",
            "a[b=1",
            "[a]=1",
            "a[b]c=1",
            "a=%zz",
            "a=%ff",
            "a=1&a[b]=2",
            "a=%00",
        ] {
            assert!(decode(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            // Whether it is refused or not is the business of the tests above.
            let _ = decode(&bytes);
        }

        #[test]
        fn brackets_in_any_order_make_no_panic(text in "[a-c\\[\\]=&0-2]{0,60}") {
            let _ = decode(text.as_bytes());
        }
    }
}
