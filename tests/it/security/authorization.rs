//! The authorization matrix: every operation of the document with every kind of token that must not
//! get through, and with the one scope that must.

use portal_billing::config::{Issuer, IssuerAlgorithm};
use portal_billing::http::auth::Scope;
use reqwest::{Method, RequestBuilder};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::auth::forge::{Forge, Signer, ed_jwk, keys, p256_jwk, rsa_jwk, rsa_public_der};
use crate::support::api::{Operation, operations};
use crate::support::database::{Database, on_both_databases};
use crate::support::service::{Answer, Service};

on_both_databases!(
    nothing_but_the_right_token_gets_through,
    the_documented_scope_is_the_one_that_is_demanded,
    another_portals_things_look_like_nothing,
);

const ISSUER: &str = "https://issuer.example";
const DEVELOPMENT_ISSUER: &str = "portal-billing-development";

/// What answers without a token. A new public route has to be written down here.
const PUBLIC: [&str; 9] = [
    "access_key_set",
    "service_docs",
    "service_docs_file",
    "service_health",
    "service_metrics",
    "service_openapi",
    "service_problem_page",
    "service_readiness",
    "stripe_hook_receive",
];

/// A service that trusts [`ISSUER`], which has a key of each kind.
struct Guarded {
    service: Service,
    _key_set: TempDir,
}

impl Guarded {
    async fn start(engine: Database) -> Self {
        let mut service = Service::start(engine).await;
        service.stop();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("keys.json");
        let set = json!({"keys": [
            ed_jwk("ed", &keys().ed),
            p256_jwk("p256"),
            rsa_jwk("rsa"),
        ]});
        std::fs::write(&file, set.to_string()).unwrap();
        service.config.auth.issuers = vec![Issuer {
            issuer: ISSUER.to_owned(),
            jwks_file: Some(file),
            jwks_url: None,
            algorithms: vec![
                IssuerAlgorithm::EdDsa,
                IssuerAlgorithm::Es256,
                IssuerAlgorithm::Rs256,
            ],
        }];
        service.run().await;
        service.enabled_portal("acme").await;
        service.enabled_portal("theirs").await;
        Self {
            service,
            _key_set: directory,
        }
    }

    /// A good token for the portal `acme` with these scopes.
    fn forge(&self, scopes: &str) -> Forge {
        let now = self.service.clock.now().as_seconds();
        Forge::ed()
            .claim("iss", ISSUER)
            .claim("iat", now - 5)
            .claim("nbf", now - 5)
            .claim("exp", now + 300)
            .claim("scope", scopes)
            .claim("portal", "acme")
    }

    async fn send(&self, operation: &Operation, portal: &str, headers: &[&str]) -> Answer {
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|value| ("authorization", *value))
            .collect();
        let (method, path) = (operation.method.clone(), operation.address(portal));
        self.service
            .call_with(method, &path, &headers, operation.example())
            .await
    }

    async fn send_token(&self, operation: &Operation, portal: &str, token: &str) -> Answer {
        self.send(operation, portal, &[&format!("Bearer {token}")])
            .await
    }

    /// Everything an intruder could have changed.
    async fn traces(&self) -> Vec<Value> {
        let mut traces = Vec::new();
        for portal in ["acme", "theirs"] {
            for path in ["", "/modules/stripe", "/audit-log"] {
                let path = format!("/v1/portals/{portal}{path}");
                traces.push(self.service.get(&path).await.expect(200));
            }
        }
        let log = self
            .service
            .simulator(Method::GET, "/requests", Value::Null);
        traces.push(log.await["counts"].clone());
        traces
    }
}

fn every_scope() -> String {
    let scopes: Vec<_> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
    scopes.join(" ")
}

fn every_scope_but(without: &[String]) -> String {
    let scopes: Vec<_> = Scope::ALL
        .iter()
        .map(|scope| scope.as_str())
        .filter(|scope| !without.iter().any(|it| it == scope))
        .collect();
    scopes.join(" ")
}

fn protected() -> impl Iterator<Item = (Operation, Vec<String>)> {
    operations().into_iter().filter_map(|operation| {
        let scopes = operation.scopes.clone()?;
        Some((operation, scopes))
    })
}

/// Name, `Authorization` values, status and code.
type Refused = (&'static str, Vec<String>, u16, &'static str);

/// Good tokens, to be spoiled.
struct Good {
    /// Of [`ISSUER`], with every scope.
    trusted: Forge,
    /// Of the development issuer.
    development: Forge,
    /// The development issuer's secret.
    secret: Vec<u8>,
    now: i64,
}

impl Good {
    fn of(guarded: &Guarded) -> Self {
        let keys = guarded.service.config.key_material().unwrap();
        let secret = keys.development_secret.unwrap();
        let secret = secret.expose_secret().as_bytes().to_vec();
        let trusted = guarded.forge(&every_scope());
        let development = Forge {
            signer: Signer::Hmac(secret.clone()),
            ..trusted.clone()
        };
        Self {
            trusted,
            development: development
                .header("alg", "HS256")
                .without_header("kid")
                .claim("iss", DEVELOPMENT_ISSUER),
            secret,
            now: guarded.service.clock.now().as_seconds(),
        }
    }

    fn forge(&self) -> Forge {
        self.trusted.clone()
    }
}

fn signed(forge: Forge, signer: Signer) -> String {
    Forge { signer, ..forge }.token()
}

/// Wrong claims, rightly signed.
fn wrong_claims(good: &Good) -> Vec<(&'static str, Forge)> {
    let now = good.now;
    vec![
        ("not begun", good.forge().claim("nbf", now + 3600)),
        (
            "unknown issuer",
            good.forge().claim("iss", "https://evil.example"),
        ),
        ("other audience", good.forge().claim("aud", "other-service")),
        ("no audience", good.forge().without_claim("aud")),
        ("no expiry", good.forge().without_claim("exp")),
        ("no portal", good.forge().without_claim("portal")),
        ("no subject", good.forge().without_claim("sub")),
        ("unknown key", good.forge().header("kid", "nobody")),
        (
            "critical extension",
            good.forge().header("crit", json!(["exp"])),
        ),
        ("another type", good.forge().header("typ", "logout+jwt")),
        ("too long", good.forge().claim("padding", "x".repeat(9_000))),
    ]
}

/// Right claims, wrongly signed.
fn wrong_signatures(good: &Good) -> Vec<(&'static str, String)> {
    let algorithm = |name: &str| good.forge().header("alg", name);
    let whole = good.trusted.token();
    let (body, signature) = whole.rsplit_once('.').unwrap();
    let mut bent = signature.to_owned();
    let first = if bent.starts_with('A') { "B" } else { "A" };
    bent.replace_range(0..1, first);
    let other = good.forge().claim("portal", "*").token();
    let (other_body, _) = other.rsplit_once('.').unwrap();
    let own_key = good.forge().header("jwk", ed_jwk("x", &keys().stranger));
    vec![
        ("garbage", "garbage".to_owned()),
        ("empty parts", "..".to_owned()),
        ("alg none", signed(algorithm("none"), Signer::Raw(vec![]))),
        ("alg None", signed(algorithm("None"), Signer::Raw(vec![1]))),
        (
            "HS256 with the RSA public key",
            signed(
                algorithm("HS256").header("kid", "rsa"),
                Signer::Hmac(rsa_public_der()),
            ),
        ),
        (
            "HS256 with the development secret, as the trusted issuer",
            signed(
                algorithm("HS256").without_header("kid"),
                Signer::Hmac(good.secret.clone()),
            ),
        ),
        (
            "RS256 under the Ed25519 key's id",
            signed(algorithm("RS256"), Signer::Rsa256),
        ),
        (
            "another's key",
            signed(good.forge(), Signer::Ed(&keys().stranger)),
        ),
        (
            "a key of its own",
            signed(own_key.header("kid", "x"), Signer::Ed(&keys().stranger)),
        ),
        (
            "the development issuer, wrong secret",
            signed(
                good.development.clone(),
                Signer::Hmac(b"another secret of thirty-two bytes".to_vec()),
            ),
        ),
        (
            "the development issuer, EdDSA",
            good.forge().claim("iss", DEVELOPMENT_ISSUER).token(),
        ),
        ("bent signature", format!("{body}.{bent}")),
        ("no signature", format!("{body}.")),
        ("other claims", format!("{other_body}.{signature}")),
    ]
}

/// What opens nothing, wherever it is tried.
fn refused_everywhere(guarded: &Guarded) -> Vec<Refused> {
    let good = Good::of(guarded);
    let claims = wrong_claims(&good).into_iter();
    let claims = claims.map(|(name, forge)| (name, forge.token()));
    let mut cases: Vec<Refused> = claims
        .chain(wrong_signatures(&good))
        .map(|(name, token)| (name, vec![format!("Bearer {token}")], 401, "token_invalid"))
        .collect();
    let whole = good.trusted.token();
    let expired = |forge: &Forge| forge.clone().claim("exp", good.now - 3600).token();
    let headers: [(&str, Vec<String>, &str); 8] = [
        (
            "expired",
            vec![format!("Bearer {}", expired(&good.trusted))],
            "token_expired",
        ),
        (
            "expired, of the development issuer",
            vec![format!("Bearer {}", expired(&good.development))],
            "token_expired",
        ),
        ("no token", vec![], "token_missing"),
        (
            "Basic",
            vec!["Basic b3BzOnNlY3JldA==".to_owned()],
            "token_missing",
        ),
        ("the token alone", vec![whole.clone()], "token_missing"),
        ("Bearer alone", vec!["Bearer".to_owned()], "token_invalid"),
        (
            "two tokens",
            vec![format!("Bearer {whole}"), format!("Bearer {whole}")],
            "token_invalid",
        ),
        (
            "two tokens in one header",
            vec![format!("Bearer {whole}, Bearer {whole}")],
            "token_invalid",
        ),
    ];
    cases.extend(headers.map(|(name, values, code)| (name, values, 401, code)));
    cases
}

async fn nothing_but_the_right_token_gets_through(engine: Database) {
    let guarded = Guarded::start(engine).await;
    let refused = refused_everywhere(&guarded);
    let before = guarded.traces().await;
    let mut asked = 0;
    for (operation, scopes) in protected() {
        for (name, headers, status, code) in &refused {
            let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
            let answer = guarded.send(&operation, "acme", &headers).await;
            let what = format!("{} with {name}", operation.id);
            assert_eq!(
                (answer.status.as_u16(), answer.code().as_str()),
                (*status, *code),
                "{what}: {}",
                answer.text
            );
            let challenge = answer.header("www-authenticate").unwrap_or_default();
            assert!(challenge.starts_with("Bearer"), "{what}: {challenge}");
            answer.problem(*status, code);
            asked += 1;
        }
        let with = |scopes: &str| guarded.forge(scopes);
        let everything = every_scope();
        let cases = [
            (with(""), 403, "scope_missing"),
            (with("").without_claim("scope"), 403, "scope_missing"),
            (with("* all portals:* admin"), 403, "scope_missing"),
            (with(&everything.to_uppercase()), 403, "scope_missing"),
            (with(&everything.replace(' ', ",")), 403, "scope_missing"),
            (with(&every_scope_but(&scopes)), 403, "scope_missing"),
        ];
        for (forge, status, code) in cases {
            let answer = guarded.send_token(&operation, "acme", &forge.token()).await;
            let got = (answer.status.as_u16(), answer.code());
            assert_eq!(
                got,
                (status, code.to_owned()),
                "{} {}",
                operation.id,
                forge.claims
            );
            asked += 1;
        }
        for forge in [
            with(&everything).claim("org", "org-1"),
            with(&everything).claim("portal", "*").claim("org", "org-1"),
        ] {
            let answer = guarded.send_token(&operation, "acme", &forge.token()).await;
            let refused = answer.status.as_u16() == 403 && answer.code() == "organization_bound";
            assert_eq!(
                refused, !operation.for_organizations,
                "{} {}",
                operation.id, answer.text
            );
            asked += 1;
        }
    }
    assert_eq!(
        guarded.traces().await,
        before,
        "none of them changed a thing"
    );
    assert!(asked >= 12 * protected().count(), "{asked}");
}

async fn the_documented_scope_is_the_one_that_is_demanded(engine: Database) {
    let guarded = Guarded::start(engine).await;
    for (operation, scopes) in protected() {
        assert_eq!(scopes.len(), 1, "{}: one scope", operation.id);
        for scope in Scope::ALL {
            // Each in a portal of its own: what gets through does its work.
            let portal = format!(
                "for-{}-{}",
                operation.id.replace('_', "-"),
                scope.as_str().replace([':', '_'], "-")
            );
            let allowed = scopes.iter().any(|it| it == scope.as_str());
            if allowed {
                guarded.service.enabled_portal(&portal).await;
            }
            let token = guarded
                .forge(scope.as_str())
                .claim("portal", portal.as_str());
            let answer = guarded
                .send_token(&operation, &portal, &token.token())
                .await;
            let refused = matches!(answer.status.as_u16(), 401 | 403);
            assert_eq!(
                refused, !allowed,
                "{} with {scope}: {}",
                operation.id, answer.text
            );
        }
    }
    let mut public: Vec<_> = operations()
        .into_iter()
        .filter(|operation| operation.scopes.is_none())
        .map(|operation| operation.id)
        .collect();
    public.sort();
    assert_eq!(public, PUBLIC);
}

/// An answer without what names the request itself.
fn anonymous(answer: &Answer, portal: &str) -> String {
    let request_id = answer.header("x-request-id").unwrap().to_owned();
    let mut headers: Vec<String> = answer
        .headers
        .iter()
        .filter(|(name, _)| *name != "date")
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    headers.sort();
    format!("{} {headers:?} {}", answer.status, answer.text)
        .replace(&request_id, "<request>")
        .replace(&format!("/v1/portals/{portal}"), "<portal>")
        .replace(&format!("content-length: {}", answer.text.len()), "")
}

async fn another_portals_things_look_like_nothing(engine: Database) {
    let guarded = Guarded::start(engine).await;
    let before = guarded.traces().await;
    let token = guarded.forge(&every_scope()).token();
    let mut asked = 0;
    for (operation, _) in protected().filter(|(operation, _)| operation.is_in_portal()) {
        let theirs = guarded.send_token(&operation, "theirs", &token).await;
        let nowhere = guarded.send_token(&operation, "nowhere", &token).await;
        assert_eq!(
            theirs.code(),
            "not_found",
            "{}: {}",
            operation.id,
            theirs.text
        );
        assert_eq!(
            anonymous(&theirs, "theirs"),
            anonymous(&nowhere, "nowhere"),
            "{}",
            operation.id
        );
        theirs.problem(404, "not_found");
        // A precondition or a bad body tells nothing either.
        for (name, value) in [
            ("if-match", "\"1.1\""),
            ("if-none-match", "*"),
            ("content-type", "text/plain"),
        ] {
            let url = format!(
                "{}{}",
                guarded.service.base_url,
                operation.address("theirs")
            );
            let request: RequestBuilder = guarded
                .service
                .client
                .request(operation.method.clone(), url)
                .bearer_auth(&token)
                .header(name, value)
                .body("{");
            let answer = Service::answer(request).await;
            assert_eq!(
                answer.code(),
                "not_found",
                "{} with {name}: {}",
                operation.id,
                answer.text
            );
        }
        asked += 1;
    }
    assert!(asked > 5);
    assert_eq!(guarded.traces().await, before);
}
