//! The secret guard: Stripe's secrets and bearer tokens in places that are not meant for them, such
//! as a title, a field's name or a path, are neither stored nor logged nor repeated.

/// What Stripe's secrets begin with (<https://docs.stripe.com/keys>, `…_secret_…` being the client
/// secrets of intents and sessions). Publishable keys are public.
const PREFIXES: [&str; 6] = [
    "sk_test_", "sk_live_", "sk_org_", "rk_test_", "rk_live_", "whsec_",
];
/// The prefixes up to their first underscore.
const FIRST_WORDS: [&str; 3] = ["sk", "rk", "whsec"];
/// A prefix alone, as in `sk_test_…`, is talk about keys and no key.
const BODY_MIN: usize = 8;
/// What the header of a JSON Web Token begins with: `{"` in base64url.
const TOKEN_START: &str = "eyJ";
const TOKEN_PART_MIN: usize = 8;

/// Whether the text holds what looks like a secret key or signing secret of Stripe's, or a bearer
/// token.
pub fn holds_secret(text: &str) -> bool {
    (may_hold_key(text)
        && PREFIXES
            .iter()
            .any(|prefix| followed(text, prefix, |rest| word_length(rest) >= BODY_MIN)))
        || (text.contains('.') && followed(text, TOKEN_START, is_rest_of_token))
}

/// Whether some underscore stands behind what a prefix has before its first one. Few texts have that, and
/// every segment of every path is looked at.
fn may_hold_key(text: &str) -> bool {
    text.match_indices('_')
        .filter_map(|(place, _)| text.get(..place))
        .any(|before| FIRST_WORDS.iter().any(|word| before.ends_with(word)))
}

/// Whether what stands behind some occurrence of `start` passes.
fn followed(text: &str, start: &str, passes: impl Fn(&str) -> bool) -> bool {
    text.match_indices(start)
        .filter_map(|(place, _)| text.split_at_checked(place))
        // Inside a word it is a piece of something else, such as `task_test_environment`.
        .filter(|(before, _)| !before.ends_with(|c: char| c.is_ascii_alphanumeric()))
        .filter_map(|(_, found)| found.get(start.len()..))
        .any(passes)
}

fn word_length(text: &str) -> usize {
    text.bytes()
        .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        .count()
}

/// Two more parts of base64url behind the first.
fn is_rest_of_token(text: &str) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let mut parts = text.splitn(3, '.');
    let whole = |part: &str| part.len() >= TOKEN_PART_MIN && part.as_bytes().iter().all(is_part);
    parts.next().is_some_and(whole)
        && parts.next().is_some_and(whole)
        && parts
            .next()
            .is_some_and(|part| part.bytes().take_while(is_part).count() >= TOKEN_PART_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_wherever_they_stand() {
        for secret in [
            "sk_test_51PgafTB1WZ2rYsUu",
            "sk_live_51PgafTB1WZ2rYsUu",
            "rk_live_51PgafTB1WZ2rYsUu",
            "sk_org_live_51PgafTB1WZ2rYsUu",
            "whsec_abcdefgh12345678",
            "eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJpZCJ9.c2lnbmF0dXJlLWJ5dGVz",
        ] {
            for text in [
                secret.to_owned(),
                format!("the key is {secret}, keep it"),
                format!("key={secret}"),
                format!("sk_test_ is not {secret}"),
            ] {
                assert!(holds_secret(&text), "{text}");
            }
        }
    }

    #[test]
    fn every_prefix_begins_with_a_first_word() {
        for prefix in PREFIXES {
            let first = prefix.split('_').next().unwrap();
            assert!(FIRST_WORDS.contains(&first), "{prefix}");
        }
    }

    #[test]
    fn talk_about_secrets_is_none() {
        for text in [
            "",
            "sk_test_",
            "keys begin with sk_live_… or rk_live_…",
            "sk_test_****",
            "pk_test_51PgafTB1WZ2rYsUu",
            "acct_1PgafTB1WZ2rYsUu",
            "eyJ",
            "eyJhbGciOiJFZERTQSJ9",
            "eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJpZCJ9",
            "eyJzaW1wbGU.short.x",
            "task_test_environment",
        ] {
            assert!(!holds_secret(text), "{text}");
        }
    }
}
