//! Pages for people: the API reference and the explanation of each problem.

use std::borrow::Cow;
use std::io::{self, Read as _};
use std::sync::{Arc, OnceLock};

use flate2::read::GzDecoder;

use pulldown_cmark::{Event, Options, Parser, html};

use super::problem::describe;
use crate::domain::error::Code;

/// The API reference; its scripts come from this service, never from elsewhere.
pub(super) const DOCS: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>portal-billing API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="icon" href="/docs/favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/init.js"></script>
</body>
</html>
"#;

const INIT: &str = r##"SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  persistAuthorization: false,
  validatorUrl: null,
});
"##;

const PROBLEMS: &str = include_str!("../../docs/problems.md");

/// A file of the API reference.
pub(super) struct DocsFile {
    /// What it is.
    pub(super) content_type: String,
    /// Its bytes.
    pub(super) bytes: Cow<'static, [u8]>,
    /// Whether they are packed with gzip.
    pub(super) packed: bool,
}

impl DocsFile {
    /// The same for who takes nothing packed.
    ///
    /// # Errors
    /// When the bytes in this binary are damaged.
    pub(super) fn unpacked(self) -> io::Result<Self> {
        if !self.packed {
            return Ok(self);
        }
        let mut bytes = Vec::new();
        GzDecoder::new(&*self.bytes).read_to_end(&mut bytes)?;
        Ok(Self {
            bytes: Cow::Owned(bytes),
            packed: false,
            ..self
        })
    }
}

/// A file of the API reference, packed as it is in this binary.
pub(super) fn docs_file(name: &str) -> Option<DocsFile> {
    match name {
        "init.js" => Some(DocsFile {
            content_type: "text/javascript".to_owned(),
            bytes: Cow::Borrowed(INIT.as_bytes()),
            packed: false,
        }),
        "swagger-ui.css" | "swagger-ui-bundle.js" | "favicon-32x32.png" => {
            let config = Arc::new(utoipa_swagger_ui::Config::from("/openapi.json"));
            let file = utoipa_swagger_ui::serve(name, config).ok()??;
            Some(DocsFile {
                content_type: file.content_type,
                bytes: file.bytes,
                packed: file.gzpipped,
            })
        }
        _ => None,
    }
}

/// The page of a code.
pub(super) fn problem(code: &str) -> Option<String> {
    let code = Code::ALL
        .iter()
        .copied()
        .find(|known| known.as_str() == code)?;
    let description = describe(code);
    let section = section(code)?;
    let mut text = String::new();
    // Raw HTML in the source would be ours, yet nothing needs it.
    let events = Parser::new_ext(section, Options::empty()).map(|event| match event {
        Event::Html(raw) | Event::InlineHtml(raw) => Event::Text(raw),
        other => other,
    });
    html::push_html(&mut text, events);
    let (title, status) = (description.title, description.status.as_u16());
    let name = code.as_str();
    Some(format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <title>{title}</title></head>\n<body><h1>{title}</h1>\n\
         <p><code>{name}</code> · HTTP {status}</p>\n{text}</body></html>\n"
    ))
}

/// The part of `docs/problems.md` about this code.
fn section(code: Code) -> Option<&'static str> {
    static SECTIONS: OnceLock<Vec<(Cow<'static, str>, &'static str)>> = OnceLock::new();
    SECTIONS
        .get_or_init(|| {
            PROBLEMS
                .split("\n## ")
                .skip(1)
                .filter_map(|section| {
                    let (heading, body) = section.split_once('\n')?;
                    Some((Cow::Borrowed(heading.trim_matches(['`', ' '])), body))
                })
                .collect()
        })
        .iter()
        .find(|(heading, _)| heading == code.as_str())
        .map(|(_, body)| *body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_page_and_every_page_a_code() {
        for code in Code::ALL {
            let page = problem(code.as_str());
            assert!(
                page.is_some_and(|page| page.len() > 200),
                "{}",
                code.as_str()
            );
        }
        let documented = PROBLEMS.matches("\n## ").count();
        assert_eq!(documented, Code::ALL.len());
    }

    #[test]
    fn the_reference_finds_its_files() {
        for name in [
            "init.js",
            "swagger-ui.css",
            "swagger-ui-bundle.js",
            "favicon-32x32.png",
        ] {
            let file = docs_file(name).unwrap();
            assert_eq!(file.packed, name != "init.js", "{name}");
            let unpacked = file.unpacked().unwrap();
            assert!(!unpacked.packed && !unpacked.bytes.is_empty(), "{name}");
            assert!(DOCS.contains(&format!("/docs/{name}")), "{name}");
        }
        assert!(docs_file("index.html").is_none());
    }
}
