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
        object_id -> Text,
        status -> Text,
        attempts -> Integer,
        next_attempt_at -> Nullable<BigInt>,
        error -> Nullable<Text>,
        stripe_created_at -> BigInt,
        received_at -> BigInt,
        sealed -> Nullable<Binary>,
        data_key_version -> Nullable<BigInt>,
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

diesel::table! {
    products (portal_id, id) {
        portal_id -> Text,
        id -> Text,
        title -> Text,
        product_version -> Text,
        description -> Text,
        state -> Text,
        nonce -> Text,
        version -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    plans (portal_id, product_id, id) {
        portal_id -> Text,
        product_id -> Text,
        id -> Text,
        place -> Integer,
        title -> Text,
        description -> Text,
        approval_required -> Bool,
        revision -> BigInt,
        withdrawn_at -> Nullable<BigInt>,
        stripe_account -> Nullable<Text>,
        stripe_livemode -> Nullable<Bool>,
        stripe_product -> Nullable<Text>,
        stripe_name -> Nullable<Text>,
        stripe_archived -> Bool,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    plan_revisions (portal_id, product_id, plan_id, revision) {
        portal_id -> Text,
        product_id -> Text,
        plan_id -> Text,
        revision -> BigInt,
        pricing -> Text,
        stripe_account -> Nullable<Text>,
        stripe_livemode -> Nullable<Bool>,
        stripe_price -> Nullable<Text>,
        stripe_archived -> Bool,
        created_at -> BigInt,
    }
}

diesel::table! {
    customers (id) {
        id -> Text,
        portal_id -> Text,
        external_id -> Text,
        name -> Text,
        email -> Text,
        address -> Nullable<Text>,
        tax_ids -> Text,
        metadata -> Text,
        default_payment_method -> Nullable<Text>,
        stripe_account -> Nullable<Text>,
        stripe_livemode -> Nullable<Bool>,
        stripe_id -> Nullable<Text>,
        stripe_at -> Nullable<BigInt>,
        version -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    payment_methods (id) {
        id -> Text,
        portal_id -> Text,
        customer_id -> Text,
        method_type -> Text,
        state -> Text,
        card_brand -> Nullable<Text>,
        card_last4 -> Nullable<Text>,
        card_exp_month -> Nullable<Integer>,
        card_exp_year -> Nullable<Integer>,
        card_funding -> Nullable<Text>,
        card_country -> Nullable<Text>,
        stripe_account -> Text,
        stripe_livemode -> Bool,
        stripe_id -> Text,
        stripe_at -> Nullable<BigInt>,
        version -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    subscriptions (id) {
        id -> Text,
        portal_id -> Text,
        customer_id -> Text,
        product_id -> Text,
        plan_id -> Text,
        plan_revision -> BigInt,
        application -> Text,
        status -> Text,
        paid -> Bool,
        quantity -> BigInt,
        payment_method_id -> Nullable<Text>,
        period_start -> Nullable<BigInt>,
        period_end -> Nullable<BigInt>,
        trial_end -> Nullable<BigInt>,
        cancel_at -> Nullable<BigInt>,
        canceled_at -> Nullable<BigInt>,
        ended_at -> Nullable<BigInt>,
        unpaid_since -> Nullable<BigInt>,
        dunning -> Text,
        latest_invoice -> Nullable<Text>,
        scheduled_change -> Nullable<Text>,
        requested -> Nullable<Text>,
        metadata -> Text,
        stripe_account -> Nullable<Text>,
        stripe_livemode -> Nullable<Bool>,
        stripe_id -> Nullable<Text>,
        stripe_item -> Nullable<Text>,
        stripe_at -> Nullable<BigInt>,
        version -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    subscription_actions (subscription_id) {
        subscription_id -> Text,
        portal_id -> Text,
        action_type -> Text,
        url -> Nullable<Text>,
        sealed -> Nullable<Binary>,
        data_key_version -> Nullable<BigInt>,
        created_at -> BigInt,
    }
}

diesel::table! {
    operations (id) {
        id -> Text,
        portal_id -> Text,
        kind -> Text,
        subject -> Text,
        organization -> Nullable<Text>,
        lane -> Text,
        lane_held -> Nullable<Text>,
        status -> Text,
        step -> Text,
        steps_done -> Integer,
        schema_version -> Integer,
        credentials_version -> BigInt,
        stripe_account -> Text,
        stripe_livemode -> Bool,
        state -> Text,
        request -> Text,
        key_generation -> Integer,
        sent_at -> Nullable<BigInt>,
        uncertain -> Bool,
        attempts -> Integer,
        next_attempt_at -> BigInt,
        lease_owner -> Nullable<Text>,
        lease_until -> Nullable<BigInt>,
        error -> Nullable<Text>,
        actor -> Text,
        issuer -> Text,
        request_id -> Text,
        instance -> Text,
        version -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        finished_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    idempotency_keys (portal_id, organization, route, idempotency_key) {
        portal_id -> Text,
        organization -> Text,
        route -> Text,
        idempotency_key -> Text,
        fingerprint -> Text,
        operation_id -> Nullable<Text>,
        status -> Nullable<Integer>,
        headers -> Nullable<Text>,
        sealed -> Nullable<Binary>,
        data_key_version -> Nullable<BigInt>,
        created_at -> BigInt,
        expires_at -> BigInt,
    }
}

diesel::table! {
    events (portal_id, position) {
        portal_id -> Text,
        position -> BigInt,
        id -> Text,
        event_type -> Text,
        subject -> Text,
        seq -> BigInt,
        organization -> Nullable<Text>,
        data -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    event_heads (portal_id) {
        portal_id -> Text,
        position -> BigInt,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    customers,
    event_heads,
    invoices,
    portals,
    stripe_modules,
    subscription_actions,
    subscriptions,
);
diesel::allow_tables_to_appear_in_same_query!(products, plans, plan_revisions);
diesel::table! {
    webhook_endpoints (id) {
        id -> Text,
        portal_id -> Text,
        url -> Text,
        events -> Text,
        description -> Nullable<Text>,
        metadata -> Text,
        enabled -> Bool,
        disabled_reason -> Nullable<Text>,
        disabled_at -> Nullable<BigInt>,
        position -> BigInt,
        not_before -> BigInt,
        failing_since -> Nullable<BigInt>,
        version -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    webhook_endpoint_secrets (id) {
        id -> Text,
        portal_id -> Text,
        endpoint_id -> Text,
        public_key -> Text,
        sealed -> Binary,
        data_key_version -> BigInt,
        created_at -> BigInt,
        expires_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    webhook_deliveries (id) {
        id -> Text,
        portal_id -> Text,
        endpoint_id -> Text,
        position -> BigInt,
        event_id -> Text,
        event_type -> Text,
        subject -> Text,
        status -> Text,
        attempts -> Integer,
        next_attempt_at -> BigInt,
        lease_owner -> Nullable<Text>,
        lease_until -> Nullable<BigInt>,
        response_status -> Nullable<Integer>,
        reason -> Nullable<Text>,
        created_at -> BigInt,
        updated_at -> BigInt,
        finished_at -> Nullable<BigInt>,
    }
}

diesel::allow_tables_to_appear_in_same_query!(event_heads, webhook_deliveries, webhook_endpoints);

diesel::table! {
    invoices (id) {
        id -> Text,
        portal_id -> Text,
        customer_id -> Text,
        subscription_id -> Nullable<Text>,
        number -> Nullable<Text>,
        status -> Text,
        reason -> Text,
        currency -> Text,
        subtotal -> BigInt,
        total -> BigInt,
        amount_due -> BigInt,
        amount_paid -> BigInt,
        period_start -> Nullable<BigInt>,
        period_end -> Nullable<BigInt>,
        due_at -> Nullable<BigInt>,
        next_attempt_at -> Nullable<BigInt>,
        attempt_count -> BigInt,
        hosted_url -> Nullable<Text>,
        pdf_url -> Nullable<Text>,
        action_attempt -> Nullable<BigInt>,
        stripe_account -> Text,
        stripe_livemode -> Bool,
        stripe_id -> Text,
        stripe_at -> BigInt,
        version -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    invoice_lines (invoice_id, place) {
        invoice_id -> Text,
        place -> Integer,
        description -> Text,
        amount -> BigInt,
        quantity -> Nullable<BigInt>,
        unit_amount_decimal -> Nullable<Text>,
        period_start -> Nullable<BigInt>,
        period_end -> Nullable<BigInt>,
        proration -> Bool,
    }
}

diesel::table! {
    signing_keys (id) {
        id -> Text,
        state -> Text,
        public_jwk -> Text,
        sealed -> Binary,
        master_key_id -> Text,
        created_at -> BigInt,
        activated_at -> Nullable<BigInt>,
        retired_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    reconciliations (id) {
        id -> Text,
        portal_id -> Text,
        repair -> Bool,
        sweep_slot -> Nullable<BigInt>,
        status -> Text,
        phase -> Text,
        place -> Text,
        methods_place -> Text,
        adopt -> Text,
        stripe_account -> Text,
        stripe_livemode -> Bool,
        customers -> BigInt,
        payment_methods -> BigInt,
        subscriptions -> BigInt,
        invoices -> BigInt,
        foreign_objects -> BigInt,
        drift -> BigInt,
        requests -> BigInt,
        attempts -> Integer,
        lease_owner -> Nullable<Text>,
        lease_until -> Nullable<BigInt>,
        error -> Nullable<Text>,
        actor -> Text,
        issuer -> Text,
        request_id -> Text,
        instance -> Text,
        version -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        finished_at -> Nullable<BigInt>,
        invoices_place -> Text,
    }
}

diesel::table! {
    reconciliation_drift (reconciliation_id, place) {
        reconciliation_id -> Text,
        place -> BigInt,
        kind -> Text,
        object -> Nullable<Text>,
        stripe_id -> Nullable<Text>,
        drift -> Text,
        fields -> Text,
        repaired -> Bool,
        detail -> Nullable<Text>,
    }
}

diesel::table! {
    reconciliation_seen (reconciliation_id, stripe_id) {
        reconciliation_id -> Text,
        stripe_id -> Text,
    }
}

diesel::allow_tables_to_appear_in_same_query!(reconciliation_seen, stripe_objects);
diesel::allow_tables_to_appear_in_same_query!(stripe_credentials, stripe_modules);
diesel::allow_tables_to_appear_in_same_query!(stripe_credentials, portal_keys);
diesel::allow_tables_to_appear_in_same_query!(idempotency_keys, portal_keys);
