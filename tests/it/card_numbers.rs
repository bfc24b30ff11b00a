//! The card-number guard against many card numbers and many texts that are none. The generator is
//! seeded: the same texts in each run.

use portal_billing::domain::card_guard::holds_card_number;

const POSITIVES: u32 = 5_000;
const BENIGN: u32 = 100_000;

/// A linear congruential generator (Knuth's MMIX constants): good enough to vary texts.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn digits(&mut self, count: usize) -> String {
        (0..count)
            .map(|_| char::from(b'0' + u8::try_from(self.below(10)).unwrap()))
            .collect()
    }

    fn of(&mut self, alphabet: &[u8], count: usize) -> String {
        let length = u64::try_from(alphabet.len()).unwrap();
        (0..count)
            .map(|_| char::from(alphabet[usize::try_from(self.below(length)).unwrap()]))
            .collect()
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[usize::try_from(self.below(u64::try_from(choices.len()).unwrap())).unwrap()]
    }
}

/// The digit that makes the whole pass the Luhn check, worked out by trying.
fn with_check_digit(front: &str) -> String {
    (0..10)
        .map(|digit| format!("{front}{digit}"))
        .find(|whole| passes_luhn(whole))
        .unwrap()
}

fn passes_luhn(number: &str) -> bool {
    let doubled = [0, 2, 4, 6, 8, 1, 3, 5, 7, 9];
    let sum: usize = number
        .bytes()
        .rev()
        .map(|byte| usize::from(byte - b'0'))
        .enumerate()
        .map(|(place, digit)| {
            if place % 2 == 1 {
                doubled[digit]
            } else {
                digit
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Prefixes and lengths as the networks publish them.
const NETWORKS: [(&str, usize); 22] = [
    ("4", 16),
    ("4", 13),
    ("4", 19),
    ("51", 16),
    ("55", 16),
    ("2221", 16),
    ("2720", 16),
    ("34", 15),
    ("37", 15),
    ("6011", 16),
    ("644", 16),
    ("65", 19),
    ("300", 14),
    ("36", 14),
    ("38", 16),
    ("3528", 16),
    ("3589", 16),
    ("62", 16),
    ("62", 19),
    ("6759", 16),
    ("5018", 13),
    ("6304", 19),
];

fn card(random: &mut Seeded) -> String {
    let place = random.below(u64::try_from(NETWORKS.len()).unwrap());
    let (prefix, length) = NETWORKS[usize::try_from(place).unwrap()];
    let middle = random.digits(length - prefix.len() - 1);
    with_check_digit(&format!("{prefix}{middle}"))
}

fn grouped(number: &str, size: usize, separator: &str) -> String {
    let groups: Vec<_> = number
        .as_bytes()
        .chunks(size)
        .map(String::from_utf8_lossy)
        .collect();
    groups.join(separator)
}

fn dressed(random: &mut Seeded, number: &str) -> String {
    let separator = random.pick(&[
        " ", "-", ".", "  ", " - ", "\u{a0}", "\u{2011}", "\u{2013}", "\u{202f}",
    ]);
    let zero = [0xff10_u32, 0x0660, 0x06f0][usize::try_from(random.below(3)).unwrap()];
    let written = match random.below(6) {
        0 | 1 => number.to_owned(),
        2 => grouped(number, 4, separator),
        3 => grouped(number, 1, separator),
        4 if number.len() < 16 && number.len() > 13 => {
            format!(
                "{}{separator}{}{separator}{}",
                &number[..4],
                &number[4..10],
                &number[10..]
            )
        }
        4 => grouped(number, 5, separator),
        _ => number
            .bytes()
            .map(|byte| char::from_u32(zero + u32::from(byte - b'0')).unwrap())
            .collect(),
    };
    let (before, after) = match random.below(8) {
        0 => ("card ", ", thanks"),
        1 => ("(", ")"),
        2 => ("No. ", "."),
        3 => ("pan=", "&cvc=123"),
        4 => ("\n", "\n"),
        5 => ("exp 12/34, ", ""),
        6 => ("\"", "\""),
        _ => ("", ""),
    };
    format!("{before}{written}{after}")
}

const ALNUM: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const CROCKFORD: &[u8] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A number as long as a card's that fails the Luhn check.
fn failing(random: &mut Seeded) -> String {
    let mut number = card(random);
    let last = number.pop().unwrap();
    let other =
        (u8::try_from(last).unwrap() - b'0' + 1 + u8::try_from(random.below(9)).unwrap()) % 10;
    format!("{number}{other}")
}

fn with_length(random: &mut Seeded, length: usize) -> String {
    loop {
        let number = failing(random);
        if number.len() == length {
            return number;
        }
    }
}

#[expect(clippy::too_many_lines, reason = "one arm per kind of text")]
fn benign(random: &mut Seeded, kind: u32) -> String {
    let r = random;
    match kind % 20 {
        0 => format!("{}", 1_500_000_000_000 + r.below(400_000_000) * 1_000),
        1 => format!(
            "{}",
            1_500_000_000_000_000 + r.below(400_000_000) * 1_000_003
        ),
        2 => format!(
            "{}",
            1_500_000_000_000_000_000 + r.below(400_000_000) * 1_000_000_007
        ),
        3 => format!(
            "2026-{:02}-{:02}T{:02}:{:02}:{:02}.{}Z",
            1 + r.below(12),
            1 + r.below(28),
            r.below(24),
            r.below(60),
            r.below(60),
            r.digits(6)
        ),
        4 => format!(
            "2026{:02}{:02}{:02}{:02}{:02}{}",
            1 + r.below(12),
            1 + r.below(28),
            r.below(24),
            r.below(60),
            r.below(60),
            r.digits(3)
        ),
        5 => ["8", "4", "4", "4", "12"]
            .map(|n| r.of(b"0123456789abcdef", n.parse().unwrap()))
            .join("-"),
        6 => ["8", "4", "4", "4", "12"]
            .map(|n| r.digits(n.parse().unwrap()))
            .join("-"),
        7 => format!(
            "{}_{}",
            r.pick(&["org", "subn", "bill", "cred"]),
            r.of(CROCKFORD, 26)
        ),
        8 => format!(
            "{}_{}",
            r.pick(&["cus", "pi", "sub", "acct", "in"]),
            r.of(ALNUM, 24)
        ),
        9 => format!(
            "{}_{}",
            r.pick(&["cus", "pi", "sub", "acct", "in"]),
            card(r)
        ),
        10 => format!(
            "+{}{}",
            r.pick(&["1", "44", "49", "39", "62", "65"]),
            r.digits(11)
        ),
        11 => format!(
            "+{} {} {}",
            r.pick(&["1", "44", "49", "39", "62"]),
            r.digits(3),
            r.digits(8)
        ),
        12 => format!("order {}", failing(r)),
        // Of 16 digits: in a longer one the first 16 may be a card's, with its security code behind.
        13 => grouped(&with_length(r, 16), 4, " "),
        14 => format!("{}{}", r.pick(&["1", "7", "8", "9", "0"]), r.digits(15)),
        15 => format!(
            "{} {}",
            r.pick(&["DE12", "FR76", "GB29"]),
            grouped(&r.digits(20), 4, " ")
        ),
        16 => (0..9).map(|_| r.digits(2)).collect::<Vec<_>>().join(" "),
        17 => format!(
            "{}.{}.{}.{}:{}",
            r.below(256),
            r.below(256),
            r.below(256),
            r.below(256),
            r.below(65_536)
        ),
        18 => format!(
            "{}.{} {}.{} {}.{}",
            r.digits(3),
            r.digits(2),
            r.digits(2),
            r.digits(2),
            r.digits(4),
            r.digits(2)
        ),
        _ => r.of(b"0123456789abcdef", 40),
    }
}

#[test]
fn card_numbers_in_any_dress_are_found() {
    let mut random = Seeded(20_261_123);
    let missed: Vec<_> = (0..POSITIVES)
        .map(|_| {
            let number = card(&mut random);
            dressed(&mut random, &number)
        })
        .filter(|text| !holds_card_number(text))
        .collect();
    assert!(
        missed.is_empty(),
        "{} missed: {:?}",
        missed.len(),
        &missed[..missed.len().min(20)]
    );
}

#[test]
fn what_is_no_card_number_is_left_alone() {
    let mut random = Seeded(8);
    let taken: Vec<_> = (0..BENIGN)
        .map(|n| benign(&mut random, n))
        .filter(|text| holds_card_number(text))
        .collect();
    assert!(
        taken.is_empty(),
        "{} taken: {:?}",
        taken.len(),
        &taken[..taken.len().min(20)]
    );
}
