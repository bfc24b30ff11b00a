//! R3: the database's connection ends at every statement of every route that writes, before the
//! statement and after it. Callers hear 2xx or 503, never 500; asking again ends well; nothing is
//! half done and nothing is there twice.

use reqwest::Method;
use serde_json::{Value, json};

use super::proxy::{Proxy, When};
use super::score::Score;
use super::{Dice, of_tier, seed};
use crate::support::database::{Database, FreshDatabase};
use crate::support::service::{Answer, Replica, Service};

/// How far a portal has come before the call that is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Nothing,
    Portal,
    Module,
    Credentials,
    Endpoint,
}

/// One route that writes.
struct Route {
    name: &'static str,
    stage: Stage,
    method: Method,
    /// Below the portal.
    path: &'static str,
    /// `{name}` stands for the portal's.
    body: Value,
    /// What asking again may answer besides 2xx, when the first time did it all.
    again: &'static [u16],
}

#[expect(clippy::too_many_lines, reason = "one life, told in its order")]
fn routes() -> Vec<Route> {
    let route = |name, stage, method, path, body, again| Route {
        name,
        stage,
        method,
        path,
        body,
        again,
    };
    let module = "/modules/stripe";
    let credentials = "/modules/stripe/credentials";
    let keys = json!({"secret_key": "sk_test_{name}Statements", "publishable_key": "pk_test_{name}Statements"});
    vec![
        route(
            "portal_put",
            Stage::Nothing,
            Method::PUT,
            "",
            json!({"title": "P"}),
            &[],
        ),
        route(
            "portal_patch",
            Stage::Portal,
            Method::PATCH,
            "",
            json!({"title": "Q"}),
            &[],
        ),
        route(
            "module_put",
            Stage::Portal,
            Method::PUT,
            module,
            json!({"enabled": true}),
            &[],
        ),
        route(
            "credentials_put",
            Stage::Module,
            Method::PUT,
            credentials,
            keys,
            &[],
        ),
        route(
            "credentials_verify",
            Stage::Credentials,
            Method::POST,
            "/modules/stripe/credentials/verify",
            Value::Null,
            &[],
        ),
        route(
            "endpoint_register",
            Stage::Credentials,
            Method::POST,
            "/modules/stripe/webhook-endpoint",
            Value::Null,
            &[],
        ),
        route(
            "credentials_delete",
            Stage::Endpoint,
            Method::DELETE,
            credentials,
            Value::Null,
            &[404],
        ),
        route(
            "portal_delete",
            Stage::Endpoint,
            Method::DELETE,
            "",
            Value::Null,
            &[404],
        ),
    ]
}

/// A service whose database is behind the proxy, and a replica that reaches it directly.
struct World {
    service: Service,
    proxy: Proxy,
    direct: Replica,
}

impl World {
    async fn start() -> Self {
        let database = FreshDatabase::new(Database::Pg).await;
        let proxy = Proxy::start(&database.url);
        let direct_url = database.url.clone();
        let proxied = proxy.url(&database.url);
        let settings = [
            ("database.url", proxied.as_str()),
            ("server.workers", "1"),
            ("operations.poll_ms", "60000"),
            ("server.public_url", "http://127.0.0.1:1"),
        ];
        let service = Service::start_on(database, &settings).await;
        let settings = [
            ("database.url", direct_url.as_str()),
            ("operations.poll_ms", "10"),
        ];
        let direct = service.one_more(&settings).await;
        Self {
            service,
            proxy,
            direct,
        }
    }

    /// To the replica with the whole connection.
    async fn whole(&self, method: Method, path: &str, body: Value) -> Answer {
        let url = format!("{}{path}", self.direct.base_url);
        let mut request = self.service.client.request(method, url);
        request = request.header("authorization", self.service.bearer());
        if !body.is_null() {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        Service::answer(request).await
    }

    async fn prepare(&self, name: &str, stage: Stage) {
        let account = format!("acct_{}", name.replace('-', ""));
        for key in [
            format!("sk_test_{name}Statements"),
            format!("pk_test_{name}Statements"),
        ] {
            self.service.accept_key(&key, &account, &[]).await;
        }
        for route in routes() {
            let next = match route.name {
                "portal_put" => Stage::Portal,
                "module_put" => Stage::Module,
                "credentials_put" => Stage::Credentials,
                "endpoint_register" => Stage::Endpoint,
                _ => continue,
            };
            if next <= stage {
                let (path, body) = call(&route, name);
                let answer = self.whole(route.method, &path, body).await;
                assert!(answer.status.is_success(), "{}", answer.text);
            }
        }
    }

    /// What is wrong after a cut, if anything.
    async fn check(&self, route: &Route, name: &str, cut: Answer) -> Result<(), String> {
        let status = cut.status.as_u16();
        if !cut.status.is_success() && status != 503 && !route.again.contains(&status) {
            return Err(format!("answered {status}: {}", cut.text));
        }
        if status == 503 && cut.header("retry-after").is_none() {
            return Err("503 without Retry-After".to_owned());
        }
        let (path, body) = call(route, name);
        let again = self.whole(route.method.clone(), &path, body).await;
        let known = route.again.contains(&again.status.as_u16());
        if !again.status.is_success() && !known {
            return Err(format!("asked again: {} {}", again.status, again.text));
        }
        self.at_stripe(route, name).await
    }

    /// Nothing is at Stripe that the portal does not know of, and nothing twice.
    async fn at_stripe(&self, route: &Route, name: &str) -> Result<(), String> {
        let account = format!("acct_{}", name.replace('-', ""));
        let path = format!("/state?account={account}");
        let state = self
            .service
            .simulator(Method::GET, &path, Value::Null)
            .await;
        let endpoints = &state["objects"]["webhook_endpoint"];
        let there = endpoints.as_array().map_or(0, Vec::len);
        let wanted = usize::from(match route.name {
            "endpoint_register" => true,
            "credentials_delete" | "portal_delete" => false,
            _ => route.stage >= Stage::Endpoint,
        });
        if there == wanted {
            Ok(())
        } else {
            Err(format!(
                "{there} webhook endpoints at Stripe, {wanted} wanted"
            ))
        }
    }
}

fn call(route: &Route, name: &str) -> (String, Value) {
    let path = format!("/v1/portals/{name}{}", route.path);
    let body = route.body.to_string().replace("{name}", name);
    (path, serde_json::from_str(&body).unwrap())
}

#[tokio::test]
async fn a_database_cut_at_any_statement_leaves_nothing_half_done() {
    let world = World::start().await;
    let mut score = Score::new("R3", Database::Pg);
    let mut dice = Dice(seed());
    for (number, route) in routes().iter().enumerate() {
        for (letter, when) in [('b', When::Before), ('a', When::After)] {
            // The quick tier takes every fourth, others for each seed and route.
            let stride = of_tier(4, 1);
            for statement in (1 + dice.below(stride)..).step_by(stride) {
                let statement = u32::try_from(statement).unwrap();
                let name = format!("p{number}{letter}{statement}");
                world.prepare(&name, route.stage).await;
                let (path, body) = call(route, &name);
                world.proxy.cut_at(when, statement);
                let answer = world.service.call(route.method.clone(), &path, body).await;
                let Some(text) = world.proxy.disarm() else {
                    break;
                };
                score.count(1);
                if let Err(wrong) = world.check(route, &name, answer).await {
                    let case = format!("{} cut {when:?} statement {statement}", route.name);
                    score.violation(format!("{case} ({text}): {wrong}"));
                }
            }
        }
    }
    score.close(60);
}

/// C30: the database goes away for a while and comes back.
#[tokio::test]
async fn a_database_that_restarts_is_503_and_then_as_before() {
    let world = World::start().await;
    let service = &world.service;
    let put = |title: &str| service.put("/v1/portals/acme", json!({"title": title}));
    put("A").await.expect(201);
    for round in 0..3 {
        world.proxy.down();
        let answer = put(&format!("lost {round}")).await;
        assert!(answer.header("retry-after").is_some(), "{}", answer.text);
        answer.problem(503, "unavailable");
        service.get("/readyz").await.problem(503, "unavailable");
        world.proxy.up();
        put(&format!("kept {round}")).await.expect(200);
        service.get("/readyz").await.expect(200);
    }
    let portal = service.get("/v1/portals/acme").await.expect(200);
    assert_eq!(portal["title"], "kept 2");
    let log = service.get("/v1/portals/acme/audit-log").await.expect(200);
    assert_eq!(log["data"].as_array().unwrap().len(), 4, "{log}");
}
