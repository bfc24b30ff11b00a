//! The `Stripe-Signature` header: <https://docs.stripe.com/webhooks/signature>.

use std::fmt::Write;

use aws_lc_rs::hmac;

use crate::clock::Timestamp;

/// `t=<seconds>,v1=<hex>` with one `v1` per secret that is valid now.
pub(crate) fn header(secrets: &[&str], at: Timestamp, body: &str) -> String {
    let mut header = format!("t={at}");
    for secret in secrets {
        header.push_str(",v1=");
        header.push_str(&sign(secret, at, body));
    }
    header
}

/// HMAC-SHA256 over `<seconds>.<body>`, in hexadecimal.
fn sign(secret: &str, at: Timestamp, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{at}.{body}").as_bytes());
    tag.as_ref().iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_signature_is_hmac_sha256_over_time_and_body() {
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac whsec_test
        assert_eq!(
            super::header(&["whsec_test"], 1_700_000_000, "{}"),
            "t=1700000000,v1=35495024f4ef3f94e5a93e22221544c4b75e9a42300cd965ab81cb85cd994e91"
        );
        let two = super::header(&["whsec_a", "whsec_b"], 1, "x");
        assert_eq!(two.matches(",v1=").count(), 2);
    }
}
