//! The card-number guard: text that looks like a card number is refused before it is stored or
//! logged.
//!
//! A run of 13 to 19 digits that stands alone, whole or in the groups that cards are written in, with
//! spaces, hyphens or dots between them, that starts with the prefix of a card network of that length
//! and passes the Luhn check (ISO/IEC 7812-1). The networks' prefixes keep times in milliseconds and
//! most order numbers out, the groups lists of small numbers, and what stands before them telephone
//! numbers in international form and IBANs.
//!
//! What cannot be told apart: one in ten of the article numbers (EAN-13) that begin with 4 is also a
//! well-formed Visa number of 13 digits.

use std::ops::RangeInclusive;

const MIN_DIGITS: usize = 13;
const MAX_DIGITS: usize = 19;

/// Groups that are all alike have one digit or so many; longer ones belong to UUIDs and the like,
/// those of two digits to lists.
const GROUP_DIGITS: RangeInclusive<usize> = 3..=6;
/// Separators beyond the first between two groups.
const MAX_GAP: usize = 2;

/// Whether the text holds what looks like a card number.
pub fn holds_card_number(text: &str) -> bool {
    // Few texts hold 13 digits at all; this keeps the rest cheap.
    let digits = if text.is_ascii() {
        text.bytes().filter(u8::is_ascii_digit).count()
    } else {
        text.chars().map(fold).filter(char::is_ascii_digit).count()
    };
    if digits < MIN_DIGITS {
        return false;
    }
    let folded: String = text.chars().map(fold).collect();
    digit_groups(&folded).iter().any(|groups| {
        (0..groups.len()).any(|start| {
            (start..groups.len())
                .take(MAX_DIGITS)
                .filter_map(|end| groups.get(start..=end))
                .any(is_written_card_number)
        })
    })
}

/// Digits of other scripts are digits to whoever reads them, and every dash and space parts alike.
fn fold(c: char) -> char {
    const ZEROS: [u32; 3] = [0xff10, 0x0660, 0x06f0];
    if matches!(c, '-' | '.' | '\u{2010}'..='\u{2015}' | '\u{2212}')
        || (c == ' ' || is_wide_space(c))
    {
        return ' ';
    }
    ZEROS
        .iter()
        .filter_map(|zero| u32::from(c).checked_sub(*zero))
        .find_map(|value| char::from_digit(value, 10))
        .unwrap_or(c)
}

fn is_wide_space(c: char) -> bool {
    matches!(
        c,
        '\u{a0}' | '\u{2000}'..='\u{200b}' | '\u{202f}' | '\u{3000}'
    )
}

/// Words of digits alone, those that follow each other with little between them together.
fn digit_groups(text: &str) -> Vec<Vec<&str>> {
    let mut sequences: Vec<Vec<&str>> = vec![Vec::new()];
    let (mut gap, mut in_iban) = (0, false);
    for word in text.split(' ') {
        if word.is_empty() {
            gap += 1;
            if gap > MAX_GAP {
                sequences.push(Vec::new());
            }
            continue;
        }
        gap = 0;
        // Other punctuation inside a word ends a sequence: what stands beyond it is another number.
        for (place, part) in word.split(|c: char| !in_word(c)).enumerate() {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            in_iban = begins_iban(part) || (in_iban && digits);
            let counts = digits && !in_iban && !word.starts_with('+');
            if place > 0 || !counts {
                sequences.push(Vec::new());
            }
            if let (true, Some(sequence)) = (counts, sequences.last_mut()) {
                sequence.push(part);
            }
        }
    }
    sequences
}

/// Country and check digits, as in `DE89 3704 0044 0532 0130 00` (ISO 13616).
fn begins_iban(word: &str) -> bool {
    let bytes = word.as_bytes();
    bytes.len() == 4
        && bytes.iter().take(2).all(u8::is_ascii_uppercase)
        && bytes.iter().skip(2).all(u8::is_ascii_digit)
}

/// Whether the character continues a word, so that digits beside it do not stand alone.
fn in_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn is_written_card_number(groups: &[&str]) -> bool {
    if !is_grouping(groups) {
        return false;
    }
    let digits: Vec<u8> = groups
        .iter()
        .flat_map(|group| group.bytes().map(|byte| byte.wrapping_sub(b'0')))
        .collect();
    is_card_number(&digits)
}

/// Whether cards are written so: whole, in groups that are all alike but for a shorter last one, or
/// as American Express and Diners Club do, in 4, 6 and 5 or 4 digits.
fn is_grouping(groups: &[&str]) -> bool {
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    match lengths.as_slice() {
        [_] | [4, 6, 4 | 5] => true,
        [rest @ .., last] => rest.first().is_some_and(|first| {
            (*first == 1 || GROUP_DIGITS.contains(first))
                && rest.iter().all(|length| length == first)
                && last <= first
        }),
        [] => false,
    }
}

fn is_card_number(digits: &[u8]) -> bool {
    (MIN_DIGITS..=MAX_DIGITS).contains(&digits.len()) && is_network(digits) && luhn(digits)
}

/// Prefix and length of the card networks' ranges.
fn is_network(digits: &[u8]) -> bool {
    let prefix = |count: usize| {
        digits
            .iter()
            .take(count)
            .fold(0_u32, |value, digit| value * 10 + u32::from(*digit))
    };
    let length = digits.len();
    let visa = prefix(1) == 4 && matches!(length, 13 | 16 | 19);
    let mastercard =
        length == 16 && (matches!(prefix(2), 51..=55) || matches!(prefix(4), 2221..=2720));
    let amex = length == 15 && matches!(prefix(2), 34 | 37);
    let discover = (16..=19).contains(&length)
        && (prefix(4) == 6011 || matches!(prefix(3), 644..=649) || prefix(2) == 65);
    let diners = (14..=19).contains(&length)
        && (matches!(prefix(3), 300..=305 | 309) || matches!(prefix(2), 36 | 38 | 39));
    let jcb = (16..=19).contains(&length) && matches!(prefix(4), 3528..=3589);
    let union_pay = (16..=19).contains(&length) && prefix(2) == 62;
    let maestro = matches!(
        prefix(4),
        5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761..=6763
    );
    visa || mastercard || amex || discover || diners || jcb || union_pay || maestro
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, u32::from(*digit)) {
            (0, value) => value,
            (_, value) if value > 4 => value * 2 - 9,
            (_, value) => value * 2,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stripe's published test numbers, one per network and length.
    const CARDS: [&str; 12] = [
        "4242424242424242",
        "4000056655665556",
        "5555555555554444",
        "2223003122003222",
        "5105105105105100",
        "378282246310005",
        "6011111111111117",
        "3056930009020004",
        "36227206271667",
        "3566002020360505",
        "6200000000000005",
        "6205500000000000004",
    ];

    #[test]
    fn card_numbers_are_found_in_every_dress() {
        for card in CARDS {
            let grouped = |separator: &str| {
                card.as_bytes()
                    .chunks(4)
                    .map(|chunk| String::from_utf8_lossy(chunk).into_owned())
                    .collect::<Vec<_>>()
                    .join(separator)
            };
            let wide: String = card
                .chars()
                .filter_map(|c| char::from_u32(u32::from(c) + 0xff10 - 0x30))
                .collect();
            for text in [
                card.to_owned(),
                grouped(" "),
                grouped("-"),
                grouped("."),
                grouped("  "),
                grouped(" - "),
                grouped("\u{2013}"),
                grouped("\u{202f}"),
                format!("card {card}, thanks"),
                format!("({card})"),
                format!("12/34 {card}"),
            ] {
                assert!(holds_card_number(&text), "{text}");
            }
            assert!(holds_card_number(&wide), "{wide}");
        }
    }

    #[test]
    fn what_only_resembles_one_is_left_alone() {
        for text in [
            "4242424242424241",
            "1700000000000",
            "1763900000123",
            "order 1000000000000008",
            "01902a4b-4242-4242-4242-424242424242",
            "2026-11-23 12:00:00 4242 4242 4242 4241",
            "sk_test_4242424242424242",
            "v4242424242424242x",
            "4242 4242",
            "+4917612345671",
            "DE89 3704 0044 0532 0130 00",
            "sizes 40 41 42 43 44 45 46 47 48",
            "https://portal.example/a/12345678901234567890123",
            "",
        ] {
            assert!(!holds_card_number(text), "{text}");
        }
    }
}
