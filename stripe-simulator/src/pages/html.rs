//! HTML for the hosted pages: escaping and one layout.

use crate::front::HttpResponse;

/// Text made safe for elements and for quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:3rem auto;\
padding:0 1rem;color:#1a1f36}h1{font-size:1.4rem}form{margin:1rem 0}label{display:block;\
margin:.5rem 0}input,select{font:inherit;padding:.4rem;width:100%;box-sizing:border-box}\
button{font:inherit;padding:.5rem 1rem;margin:.25rem .25rem .25rem 0}table{width:100%;\
border-collapse:collapse}td,th{text-align:left;padding:.3rem 0;border-bottom:1px solid #e3e8ee}\
.amount{text-align:right}.error{color:#b3093c}.note{color:#697386;font-size:.875rem}";

/// A whole page. `body` is HTML already.
pub(super) fn page(status: u16, title: &str, body: &str) -> HttpResponse {
    let title = escape(title);
    let html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n{body}\n\
         <p class=\"note\">Stripe simulator. No money moves here.</p></body></html>\n"
    );
    HttpResponse {
        status,
        content_type: "text/html; charset=utf-8",
        headers: vec![("Cache-Control", "no-store".to_owned())],
        body: html.into_bytes(),
    }
}

/// The page for an address that names nothing.
pub(super) fn not_found() -> HttpResponse {
    page(
        404,
        "Page not found",
        "<p>Nothing is here, or not any more.</p>",
    )
}

/// `<p class="error">` with the message, or nothing.
pub(super) fn error_line(message: Option<&str>) -> String {
    message.map_or_else(String::new, |message| {
        format!("<p class=\"error\" role=\"alert\">{}</p>", escape(message))
    })
}

/// Adds parameters to a URL that may have some already.
pub(super) fn with_query(url: &str, parameters: &[(&str, &str)]) -> String {
    let (start, fragment) = match url.split_once('#') {
        Some((start, fragment)) => (start, format!("#{fragment}")),
        None => (url, String::new()),
    };
    let mut whole = start.to_owned();
    for (name, value) in parameters {
        whole.push(if whole.contains('?') { '&' } else { '?' });
        whole.push_str(name);
        whole.push('=');
        whole.push_str(value);
    }
    whole + &fragment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_text_stays_text() {
        assert_eq!(
            escape("<b a=\"x\">&'"),
            "&lt;b a=&quot;x&quot;&gt;&amp;&#39;"
        );
    }

    #[test]
    fn parameters_go_before_the_fragment() {
        assert_eq!(with_query("http://a/b", &[("c", "d")]), "http://a/b?c=d");
        assert_eq!(
            with_query("http://a/b?x=1#f", &[("c", "d"), ("e", "f")]),
            "http://a/b?x=1&c=d&e=f#f"
        );
    }
}
