//! A small PDF writer: text in columns on A4 pages, in the Helvetica that every reader has.
//!
//! PDF 1.4, ISO 32000-1: objects, a cross-reference table with their byte offsets, a trailer.

/// One piece of text on a page.
#[derive(Debug, Clone)]
pub(super) struct Text {
    /// From the left edge, in points.
    pub(super) x: u32,
    /// From the bottom edge, in points.
    pub(super) y: u32,
    /// In points.
    pub(super) size: u32,
    pub(super) bold: bool,
    pub(super) words: String,
}

/// A4, in points.
pub(super) const PAGE_WIDTH: u32 = 595;
/// A4, in points.
pub(super) const PAGE_HEIGHT: u32 = 842;

/// The bytes of a document with these pages.
pub(super) fn document(title: &str, pages: &[Vec<Text>]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer
        .bytes
        .extend_from_slice(b"%PDF-1.4\n%\xE2\xE3\xCF\xD3\n");
    // 1 catalog, 2 page tree, 3 and 4 fonts, 5 information; then two objects for each page.
    let first_page = 6;
    let kids: Vec<String> = (0..pages.len())
        .map(|index| format!("{} 0 R", first_page + 2 * index))
        .collect();
    writer.object(b"<< /Type /Catalog /Pages 2 0 R >>");
    let tree = format!(
        "<< /Type /Pages /Kids [{}] /Count {} >>",
        kids.join(" "),
        pages.len()
    );
    writer.object(tree.as_bytes());
    for font in ["Helvetica", "Helvetica-Bold"] {
        let font = format!(
            "<< /Type /Font /Subtype /Type1 /BaseFont /{font} /Encoding /WinAnsiEncoding >>"
        );
        writer.object(font.as_bytes());
    }
    let mut information = b"<< /Producer (stripe-simulator) /Title ".to_vec();
    literal(&mut information, title);
    information.extend_from_slice(b" >>");
    writer.object(&information);
    for (index, page) in pages.iter().enumerate() {
        let content = first_page + 2 * index + 1;
        let object = format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {PAGE_WIDTH} {PAGE_HEIGHT}] \
             /Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> /Contents {content} 0 R >>"
        );
        writer.object(object.as_bytes());
        writer.stream(&operators(page));
    }
    writer.finish()
}

fn operators(page: &[Text]) -> Vec<u8> {
    let mut stream = Vec::new();
    for Text {
        x,
        y,
        size,
        bold,
        words,
    } in page
    {
        let font = if *bold { "F2" } else { "F1" };
        stream.extend_from_slice(format!("BT /{font} {size} Tf {x} {y} Td ").as_bytes());
        literal(&mut stream, words);
        stream.extend_from_slice(b" Tj ET\n");
    }
    stream
}

/// A string in parentheses, in the Windows Latin-1 that the fonts are encoded in.
fn literal(out: &mut Vec<u8>, text: &str) {
    out.push(b'(');
    for character in text.chars() {
        match character {
            '(' | ')' | '\\' => {
                out.push(b'\\');
                out.push(u8::try_from(character).unwrap_or(b'?'));
            }
            '€' => out.push(0x80),
            '–' => out.push(0x96),
            '×' => out.push(0xD7),
            other if other.is_control() => out.push(b' '),
            other => out.push(u8::try_from(other).unwrap_or(b'?')),
        }
    }
    out.push(b')');
}

#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    offsets: Vec<usize>,
}

impl Writer {
    fn object(&mut self, body: &[u8]) {
        self.offsets.push(self.bytes.len());
        let number = self.offsets.len();
        self.bytes
            .extend_from_slice(format!("{number} 0 obj\n").as_bytes());
        self.bytes.extend_from_slice(body);
        self.bytes.extend_from_slice(b"\nendobj\n");
    }

    fn stream(&mut self, content: &[u8]) {
        let mut body = format!("<< /Length {} >>\nstream\n", content.len()).into_bytes();
        body.extend_from_slice(content);
        body.extend_from_slice(b"\nendstream");
        self.object(&body);
    }

    fn finish(mut self) -> Vec<u8> {
        let start = self.bytes.len();
        let size = self.offsets.len() + 1;
        let head = format!("xref\n0 {size}\n0000000000 65535 f \n");
        self.bytes.extend_from_slice(head.as_bytes());
        for offset in &self.offsets {
            let entry = format!("{offset:010} 00000 n \n");
            self.bytes.extend_from_slice(entry.as_bytes());
        }
        let trailer = format!(
            "trailer\n<< /Size {size} /Root 1 0 R /Info 5 0 R >>\nstartxref\n{start}\n%%EOF\n"
        );
        self.bytes.extend_from_slice(trailer.as_bytes());
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(words: &str) -> Text {
        Text {
            x: 50,
            y: 700,
            size: 12,
            bold: false,
            words: words.to_owned(),
        }
    }

    /// Reads the cross-reference table back: every offset has to lead to its object.
    fn check(bytes: &[u8]) -> Result<usize, String> {
        let find = |needle: &[u8]| {
            bytes
                .windows(needle.len())
                .rposition(|window| window == needle)
                .ok_or("not found")
        };
        let tail = find(b"startxref\n")?;
        let number: String = bytes[tail + 10..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .map(|b| char::from(*b))
            .collect();
        let start: usize = number.parse().map_err(|_| "no start")?;
        let table = String::from_utf8_lossy(&bytes[start..]).into_owned();
        let mut lines = table.lines().skip(1);
        let count: usize = lines
            .next()
            .and_then(|line| line.split(' ').nth(1))
            .and_then(|count| count.parse().ok())
            .ok_or("no count")?;
        for (number, entry) in lines.take(count).enumerate().skip(1) {
            let offset: usize = entry[..10].parse().map_err(|_| "no offset")?;
            let head = format!("{number} 0 obj\n");
            if !bytes[offset..].starts_with(head.as_bytes()) {
                return Err(format!("object {number} is not at {offset}"));
            }
        }
        Ok(count - 1)
    }

    #[test]
    fn every_object_is_where_the_table_says() {
        let bytes = document(
            "A (title)",
            &[vec![text("one")], vec![text("two"), text("three")]],
        );
        assert!(bytes.starts_with(b"%PDF-1.4\n"));
        assert!(bytes.ends_with(b"%%EOF\n"));
        assert_eq!(check(&bytes), Ok(9));
    }

    #[test]
    fn parentheses_are_escaped() {
        let mut out = Vec::new();
        literal(&mut out, "a(b)\\ €1\n");
        assert_eq!(out, b"(a\\(b\\)\\\\ \x801 )");
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_document(lines in proptest::collection::vec(".{0,40}", 0..20)) {
            let page: Vec<Text> = lines.iter().map(|line| text(line)).collect();
            prop_assert_eq!(check(&document("x", &[page])), Ok(7));
        }
    }
}
