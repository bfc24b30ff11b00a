//! The audit log: who did what, hash-chained per portal, so that a changed, missing or moved entry
//! shows.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;

use crate::clock::Timestamp;

/// The `previous_hash` of a portal's first entry.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Who acts, as the token said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The token's `sub`; `worker` and `cli` for the service's own work.
    pub subject: String,
    /// The token's `iss`.
    pub issuer: String,
}

/// What is to be written down. Details are names and plain facts, never a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// `<noun>.<verb in the past>`, such as `credentials.stored`.
    pub action: &'static str,
    /// The address of what was acted upon.
    pub subject: String,
    /// What else to know.
    pub details: Vec<(&'static str, String)>,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The portal it belongs to; the text, because the log outlives portals.
    pub portal: String,
    /// Its place in the portal's chain, from 1, without gaps.
    pub seq: i64,
    /// Its id.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What.
    pub action: String,
    /// On what.
    pub subject: String,
    /// Under which request.
    pub request_id: String,
    /// Details as stored: one JSON object.
    pub details: String,
    /// The hash of the entry before.
    pub previous_hash: String,
}

impl Entry {
    /// SHA-256, in hex, over every field, each with its length before it so that nothing can move
    /// from one field into the next.
    pub fn hash(&self) -> String {
        let seq = self.seq.to_string();
        let at = self.at.as_millis().to_string();
        let mut bytes = Vec::with_capacity(512);
        for field in [
            self.previous_hash.as_str(),
            &self.portal,
            &seq,
            &self.id,
            &at,
            &self.actor.subject,
            &self.actor.issuer,
            &self.action,
            &self.subject,
            &self.request_id,
            &self.details,
        ] {
            bytes.extend_from_slice(field.len().to_string().as_bytes());
            bytes.push(b':');
            bytes.extend_from_slice(field.as_bytes());
        }
        HEXLOWER.encode(digest(&SHA256, &bytes).as_ref())
    }
}

/// Where a chain breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Break {
    /// The first entry that does not fit the one before it, or is not what was hashed.
    pub seq: i64,
}

/// Checks a portal's whole chain, oldest first, each entry with its stored hash, against the head.
///
/// # Errors
/// The first [`Break`]. A chain that was cut at its end does not reach the head.
pub fn verify_chain<'a>(
    entries: impl IntoIterator<Item = (&'a Entry, &'a str)>,
    head: (i64, &str),
) -> Result<(), Break> {
    let mut previous = (0_i64, GENESIS.to_owned());
    for (entry, stored_hash) in entries {
        let expected_seq = previous.0 + 1;
        let intact = entry.seq == expected_seq
            && entry.previous_hash == previous.1
            && entry.hash() == stored_hash;
        if !intact {
            return Err(Break { seq: expected_seq });
        }
        previous = (entry.seq, stored_hash.to_owned());
    }
    if (previous.0, previous.1.as_str()) == head {
        Ok(())
    } else {
        Err(Break {
            seq: previous.0 + 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(length: i64) -> Vec<(Entry, String)> {
        let mut previous_hash = GENESIS.to_owned();
        (1..=length)
            .map(|seq| {
                let entry = Entry {
                    portal: "acme".into(),
                    seq,
                    id: format!("audt_{seq}"),
                    at: Timestamp::from_seconds(seq),
                    actor: Actor {
                        subject: "ops".into(),
                        issuer: "dev".into(),
                    },
                    action: "portal.created".into(),
                    subject: "/v1/portals/acme".into(),
                    request_id: "r".into(),
                    details: "{}".into(),
                    previous_hash: previous_hash.clone(),
                };
                previous_hash = entry.hash();
                (entry, previous_hash.clone())
            })
            .collect()
    }

    fn check(chain: &[(Entry, String)], head: (i64, &str)) -> Result<(), Break> {
        verify_chain(
            chain.iter().map(|(entry, hash)| (entry, hash.as_str())),
            head,
        )
    }

    #[test]
    fn every_kind_of_tampering_shows() {
        let whole = chain(5);
        let head = (5, whole[4].1.clone());
        let head = (head.0, head.1.as_str());
        assert_eq!(check(&whole, head), Ok(()));

        let changes: [fn(&mut Entry); 9] = [
            |e| e.portal.push('x'),
            |e| e.id.push('x'),
            |e| e.at = e.at.plus_millis(1),
            |e| e.actor.subject.push('x'),
            |e| e.actor.issuer.push('x'),
            |e| e.action.push('x'),
            |e| e.subject.push('x'),
            |e| e.request_id.push('x'),
            |e| e.details = r#"{"a":"b"}"#.into(),
        ];
        for change in changes {
            let mut tampered = whole.clone();
            change(&mut tampered[2].0);
            assert_eq!(check(&tampered, head), Err(Break { seq: 3 }));
        }

        // Changed and hashed anew: the next entry no longer fits.
        let mut rehashed = whole.clone();
        rehashed[2].0.action.push('x');
        rehashed[2].1 = rehashed[2].0.hash();
        assert_eq!(check(&rehashed, head), Err(Break { seq: 4 }));

        let mut missing = whole.clone();
        missing.remove(2);
        assert_eq!(check(&missing, head), Err(Break { seq: 3 }));
        let mut swapped = whole.clone();
        swapped.swap(1, 2);
        assert_eq!(check(&swapped, head), Err(Break { seq: 2 }));
        assert_eq!(check(&whole[..4], head), Err(Break { seq: 5 }));
        assert_eq!(check(&[], head), Err(Break { seq: 1 }));
    }

    #[test]
    fn text_cannot_move_between_fields_unseen() {
        let mut one = chain(1).remove(0).0;
        let mut two = one.clone();
        one.action = "ab".into();
        one.subject = "c".into();
        two.action = "a".into();
        two.subject = "bc".into();
        assert_ne!(one.hash(), two.hash());
    }
}
