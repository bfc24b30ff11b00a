//! The tables, the same on both engines; a test compares them with what the migrations make.

diesel::table! {
    portals (id) {
        id -> Text,
        title -> Text,
        metadata -> Text,
        version -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    portal_keys (portal_id, version) {
        portal_id -> Text,
        version -> BigInt,
        master_key_id -> Text,
        wrapped -> Binary,
        created_at -> BigInt,
        rewrapped_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    stripe_modules (portal_id) {
        portal_id -> Text,
        enabled -> Bool,
        grace_period_days -> Integer,
        on_unpaid -> Text,
        proration -> Text,
        one_trial_per_customer -> Bool,
        allowed_return_origins -> Text,
        hook -> Text,
        last_webhook_at -> Nullable<BigInt>,
        version -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    stripe_credentials (id) {
        id -> Text,
        portal_id -> Text,
        version -> BigInt,
        account_id -> Text,
        livemode -> Bool,
        publishable_key -> Text,
        secret_kind -> Text,
        secret_last_four -> Text,
        secret_fingerprint -> Text,
        secret_sealed -> Nullable<Binary>,
        data_key_version -> BigInt,
        verification -> Text,
        verified_at -> BigInt,
        created_at -> BigInt,
        superseded_at -> Nullable<BigInt>,
        retire_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    stripe_webhook_secrets (id) {
        id -> Text,
        portal_id -> Text,
        endpoint_id -> Nullable<Text>,
        last_four -> Text,
        fingerprint -> Text,
        sealed -> Binary,
        data_key_version -> BigInt,
        created_at -> BigInt,
        expires_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    stripe_webhook_endpoints (portal_id) {
        portal_id -> Text,
        account_id -> Text,
        livemode -> Bool,
        url -> Text,
        api_version -> Text,
        endpoint_id -> Nullable<Text>,
        attempt_key -> Nullable<Text>,
        attempted_at -> Nullable<BigInt>,
        registered_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    stripe_objects (account_id, livemode, stripe_id) {
        account_id -> Text,
        livemode -> Bool,
        stripe_id -> Text,
        portal_id -> Text,
        kind -> Text,
        local_id -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    stripe_events (portal_id, event_id) {
        portal_id -> Text,
        event_id -> Text,
        event_type -> Text,
        api_version -> Text,
        stripe_created_at -> BigInt,
        received_at -> BigInt,
        payload -> Binary,
    }
}

diesel::table! {
    audit_entries (portal_id, seq) {
        portal_id -> Text,
        seq -> BigInt,
        id -> Text,
        at -> BigInt,
        actor -> Text,
        issuer -> Text,
        action -> Text,
        subject -> Text,
        request_id -> Text,
        details -> Text,
        previous_hash -> Text,
        hash -> Text,
    }
}

diesel::table! {
    audit_heads (portal_id) {
        portal_id -> Text,
        seq -> BigInt,
        hash -> Text,
    }
}
