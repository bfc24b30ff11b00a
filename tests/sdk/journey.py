"""The demo's journey through the generated Python client; see run.py.

Each step is a function. A call that does not answer what it should ends the journey.
"""

import io
import json
import os
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol, TypeVar

import jwt
from portal_billing_client import AuthenticatedClient
from portal_billing_client.api.access import (
    access_get,
    access_get_of_subscription,
    access_key_set,
    access_token_get,
)
from portal_billing_client.api.audit import audit_log_list
from portal_billing_client.api.catalog import product_import, product_put
from portal_billing_client.api.customers import customer_create, customer_patch
from portal_billing_client.api.events import event_list
from portal_billing_client.api.invoices import (
    invoice_get,
    invoice_get_upcoming,
    invoice_list,
    invoice_pay,
)
from portal_billing_client.api.operations import operation_get, operation_list
from portal_billing_client.api.payment_methods import (
    checkout_session_create,
    payment_method_create,
    payment_method_list,
    setup_intent_create,
)
from portal_billing_client.api.portals import portal_delete, portal_get, portal_patch, portal_put
from portal_billing_client.api.reconciliations import reconciliation_create
from portal_billing_client.api.service import service_readiness
from portal_billing_client.api.stripe_module import (
    credentials_delete,
    credentials_get,
    credentials_put,
    credentials_verify,
    stripe_module_get,
    stripe_module_put,
    webhook_endpoint_register,
)
from portal_billing_client.api.subscriptions import (
    subscription_cancel,
    subscription_create,
    subscription_get,
    subscription_list,
    subscription_undo_cancel,
)
from portal_billing_client.api.webhooks import webhook_endpoint_create, webhook_endpoint_delete
from portal_billing_client.models import (
    AccessAnswer,
    AccessDecision,
    AccessReason,
    AccessToken,
    Address,
    AddressPatch,
    AuditPage,
    BillingInterval,
    BillingIntervalUnit,
    BillingPeriod,
    Card,
    CheckoutMode,
    CheckoutSession,
    CheckoutSessionPost,
    CheckStatus,
    Credentials,
    CredentialsPut,
    Customer,
    CustomerPatch,
    CustomerPost,
    Event,
    EventData,
    EventPage,
    FlatPricing,
    FlatPricingPut,
    FlatPricingPutModel,
    FreePricing,
    FreePricingPut,
    FreePricingPutModel,
    Invoice,
    InvoicePage,
    InvoiceStatus,
    JsonWebKeySet,
    KeyKind,
    Metadata,
    MetadataPatch,
    Mode,
    ModuleStatus,
    Money,
    OnUnpaid,
    Operation,
    OperationPage,
    OperationStatus,
    PaymentMethod,
    PaymentMethodPage,
    PaymentMethodPost,
    PaymentMethodStatus,
    PlanPut,
    PlanStripe,
    Portal,
    PortalPatch,
    PortalPut,
    Problem,
    ProblemStripe,
    ProductImport,
    Product,
    ProductPut,
    ProductState,
    Proration,
    Readiness,
    Reconciliation,
    ReconciliationStatus,
    SetupIntent,
    StripeModule,
    StripeModulePut,
    StripeModuleSettingsPut,
    StripeWebhookEndpoint,
    Subscription,
    SubscriptionAction,
    SubscriptionCancel,
    SubscriptionCancelTime,
    SubscriptionPage,
    SubscriptionPost,
    SubscriptionStatus,
    SubscriptionStripe,
    UpcomingInvoice,
    WebhookEndpointPost,
    WebhookEndpointWithSecret,
)
from portal_billing_client.types import File, Unset

BASE_URL, PORTAL = os.environ["BASE_URL"], os.environ["PORTAL"]
PUBLISHABLE_KEY, SECRET_KEY = "pk_test_simulator", "sk_test_simulator"

Answer = TypeVar("Answer")

client = AuthenticatedClient(BASE_URL, token=os.environ["TOKEN"], raise_on_unexpected_status=True)


class Answered(Protocol):
    """Any of the generated answers."""

    @property
    def status_code(self) -> HTTPStatus: ...

    @property
    def content(self) -> bytes: ...

    @property
    def parsed(self) -> object: ...


def expect(kind: type[Answer], status: int, response: Answered) -> Answer:
    """The body of an answer that has to be of this kind and status."""
    found = response.parsed
    if isinstance(found, kind) and response.status_code == status:
        return found
    raise AssertionError(f"{response.status_code} {found} instead of {status} {kind.__name__}")


def expect_empty(status: int, response: Answered) -> None:
    assert response.status_code == status and not response.content, response


def at_stripe(route: str, body: dict[str, object] | None = None) -> None:
    """What somebody does at Stripe's side, by the simulator's own routes."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    url = f"{os.environ['STRIPE_URL']}/_simulator{route}"
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=60):
        pass


def days_pass(days: int) -> None:
    """Stripe's clock goes on; what it does on the way has been delivered when this is over."""
    at_stripe("/clock", {"advance_seconds": days * 86_400})
    at_stripe("/webhooks/idle")


def until(look: Callable[[], Answer], is_so: Callable[[Answer], bool]) -> Answer:
    """Looks until it is so: what happens at Stripe is heard of a moment later."""
    for _ in range(2_000):
        found = look()
        if is_so(found):
            return found
    raise AssertionError("it did not come to be")


CUSTOMER = "ext:weather-app-inc"
# What one step makes and later ones use.
subscriptions: dict[str, Subscription] = {}
cards: list[PaymentMethod] = []


def post(plan: str, application: str) -> SubscriptionPost:
    return SubscriptionPost(
        customer=CUSTOMER, product="weather", plan=plan, application=application
    )


def subscribe(plan: str, application: str, key: str) -> Subscription:
    answer = subscription_create.sync_detailed(
        PORTAL, client=client, body=post(plan, application), idempotency_key=f"journey-{key}"
    )
    return expect(Subscription, 201, answer)


def save_card(name: str) -> PaymentMethod:
    """Saves it in place of the last one."""
    body = PaymentMethodPost(
        payment_method=f"pm_card_{name}", default=True, replaces=cards[-1].id
    )
    answer = payment_method_create.sync_detailed(
        PORTAL, CUSTOMER, client=client, body=body, idempotency_key=f"journey-card-{name}"
    )
    cards.append(expect(PaymentMethod, 201, answer))
    return cards[-1]


def cancel(subscription: Subscription, at: SubscriptionCancelTime) -> Subscription:
    answer = subscription_cancel.sync_detailed(
        PORTAL, subscription.id, client=client, body=SubscriptionCancel(at=at)
    )
    return expect(Subscription, 200, answer)


def now(subscription: Subscription) -> Subscription:
    answer = subscription_get.sync_detailed(PORTAL, subscription.id, client=client)
    return expect(Subscription, 200, answer)


def decided(subscription: Subscription) -> AccessAnswer:
    answer = access_get_of_subscription.sync_detailed(PORTAL, subscription.id, client=client)
    return expect(AccessAnswer, 200, answer)


def invoices(subscription: Subscription, status: InvoiceStatus) -> list[Invoice]:
    answer = invoice_list.sync_detailed(
        PORTAL, client=client, subscription=subscription.id, status=status
    )
    return expect(InvoicePage, 200, answer).data


def service_is_ready() -> None:
    assert expect(Readiness, 200, service_readiness.sync_detailed(client=client)).status == "ready"


def portal_is_made_and_changed() -> None:
    metadata = Metadata()
    metadata["team"] = "apis"
    body = PortalPut(title="Acme developer portal", metadata=metadata)
    made = portal_put.sync_detailed(PORTAL, client=client, body=body, if_none_match="*")
    portal = expect(Portal, 201, made)
    assert portal.id == PORTAL and portal.metadata["team"] == "apis"
    refused = portal_put.sync_detailed(PORTAL, client=client, body=body, if_none_match="*")
    assert expect(Problem, 412, refused).code == "precondition_failed"
    changes = MetadataPatch()
    changes["team"], changes["region"] = None, "eu"
    patch = PortalPatch(metadata=changes)
    changed = portal_patch.sync_detailed(PORTAL, client=client, body=patch)
    assert expect(Portal, 200, changed).metadata.to_dict() == {"region": "eu"}
    tag = changed.headers["etag"]
    expect_empty(304, portal_get.sync_detailed(PORTAL, client=client, if_none_match=tag))


def problem_names_the_field() -> None:
    refused = portal_put.sync_detailed(PORTAL, client=client, body=PortalPut(title=""))
    problem = expect(Problem, 422, refused)
    assert not isinstance(problem.errors, Unset)
    assert [error.pointer for error in problem.errors] == ["/title"]


def module_is_enabled() -> None:
    settings = StripeModuleSettingsPut(
        grace_period_days=5,
        on_unpaid=OnUnpaid.ALLOW,
        allowed_return_origins=["https://portal.acme.example"],
    )
    body = StripeModulePut(enabled=True, settings=settings)
    module = expect(
        StripeModule, 201, stripe_module_put.sync_detailed(PORTAL, client=client, body=body)
    )
    assert module.status is ModuleStatus.UNCONFIGURED
    assert module.mode is None and module.account is None
    assert module.settings.grace_period_days == 5
    assert module.settings.on_unpaid is OnUnpaid.ALLOW
    assert module.settings.proration is Proration.CREATE_PRORATIONS


def mistyped_key_is_refused() -> None:
    body = CredentialsPut(publishable_key=PUBLISHABLE_KEY, secret_key="sk_test_mistyped")
    refused = credentials_put.sync_detailed(PORTAL, client=client, body=body)
    assert expect(Problem, 424, refused).code == "stripe_credentials_invalid"


def credentials_are_stored() -> None:
    body = CredentialsPut(publishable_key=PUBLISHABLE_KEY, secret_key=SECRET_KEY)
    stored = expect(
        Credentials, 201, credentials_put.sync_detailed(PORTAL, client=client, body=body)
    )
    assert stored.mode is Mode.TEST and stored.secret_key.kind is KeyKind.SECRET
    assert stored.rotated_at is None
    verified = expect(
        Credentials, 200, credentials_verify.sync_detailed(PORTAL, client=client)
    )
    assert verified.verification.accepted
    read = expect(Credentials, 200, credentials_get.sync_detailed(PORTAL, client=client))
    assert read.id == stored.id and [each.version for each in read.versions] == [1]


def webhook_endpoint_is_registered() -> None:
    registered = webhook_endpoint_register.sync_detailed(PORTAL, client=client)
    endpoint = expect(StripeWebhookEndpoint, 201, registered)
    assert endpoint.registered_at is not None and not endpoint.stripe.livemode


def portal_is_ready() -> None:
    module = expect(StripeModule, 200, stripe_module_get.sync_detailed(PORTAL, client=client))
    assert module.mode is Mode.TEST and module.account is not None
    failing = [check.code for check in module.checks if check.status is CheckStatus.FAIL]
    assert not failing and module.status is ModuleStatus.READY, module


def product_with_a_free_and_a_paid_plan_is_published() -> None:
    free = FreePricingPut(model=FreePricingPutModel.FREE)
    monthly = FlatPricingPut(
        model=FlatPricingPutModel.FLAT,
        price=Money(amount=1500, currency="usd"),
        interval=BillingInterval(unit=BillingIntervalUnit.MONTH, count=1),
    )
    body = ProductPut(
        title="Weather",
        version="1.0.0",
        state=ProductState.PUBLISHED,
        plans=[
            PlanPut(id="free", title="Free", pricing=free),
            PlanPut(id="gold", title="Gold", pricing=monthly),
        ],
    )
    answer = product_put.sync_detailed(PORTAL, "weather", client=client, body=body)
    first, second = expect(Product, 201, answer).plans
    assert isinstance(first.pricing, FreePricing) and first.stripe is None
    assert isinstance(second.pricing, FlatPricing) and isinstance(second.stripe, PlanStripe)
    assert second.pricing.price.amount == 1500


def product_document_is_tried() -> None:
    text = b"product: 1.0.0\ninfo: {name: tides, title: Tides, version: 1.0.0}\nplans: {v: {title: V}}\n"
    answer = product_import.sync_detailed(
        PORTAL, client=client, body=File(payload=io.BytesIO(text)), dry_run=True
    )
    report = expect(ProductImport, 200, answer)
    assert not report.imported and report.product is None
    assert [plan.id for plan in report.plans] == ["v"]


def organization_becomes_a_customer() -> None:
    body = CustomerPost(
        external_id="weather-app-inc", name="Weather App Inc.", email="billing@weather-app.example"
    )
    made = customer_create.sync_detailed(PORTAL, client=client, body=body)
    customer = expect(Customer, 201, made)
    assert customer.stripe is None and customer.default_payment_method is None
    again = customer_create.sync_detailed(PORTAL, client=client, body=body)
    assert expect(Problem, 409, again).code == "customer_exists"
    patch = CustomerPatch(
        address=AddressPatch(line1="1 Cloud Street", city="Galway", country="IE")
    )
    moved = customer_patch.sync_detailed(PORTAL, CUSTOMER, client=client, body=patch)
    address = expect(Customer, 200, moved).address
    assert isinstance(address, Address) and address.country == "IE"


def free_plan_is_subscribed_to() -> None:
    free = subscribe("free", "try-out", "free")
    assert free.status is SubscriptionStatus.ACTIVE and free.stripe is None
    assert free.access.reason is AccessReason.FREE
    subscriptions["free"] = free


def paid_plan_needs_a_payment_method() -> None:
    refused = subscription_create.sync_detailed(
        PORTAL, client=client, body=post("gold", "production"), idempotency_key="journey-too-early"
    )
    assert expect(Problem, 409, refused).code == "payment_method_required"


def setup_intent_is_made() -> None:
    made = setup_intent_create.sync_detailed(PORTAL, CUSTOMER, client=client)
    intent = expect(SetupIntent, 201, made)
    assert intent.publishable_key == PUBLISHABLE_KEY
    assert intent.client_secret.startswith(intent.id)


def card_is_saved_on_a_checkout_page() -> None:
    page = "https://portal.acme.example/billing"
    body = CheckoutSessionPost(mode=CheckoutMode.SETUP, success_url=page, cancel_url=page)
    made = checkout_session_create.sync_detailed(PORTAL, CUSTOMER, client=client, body=body)
    session = expect(CheckoutSession, 201, made)
    assert session.url.startswith("http") and session.expires_at is not None
    at_stripe(f"/checkout/{session.id}/complete", {"payment_method": "pm_card_visa"})
    saved = payment_method_create.sync_detailed(
        PORTAL,
        CUSTOMER,
        client=client,
        body=PaymentMethodPost(checkout_session=session.id),
        idempotency_key="journey-card-page",
    )
    # Stripe's event may have been quicker: then it is there already.
    status = 200 if saved.status_code == 200 else 201
    card = expect(PaymentMethod, status, saved)
    assert card.status is PaymentMethodStatus.USABLE and card.default
    assert isinstance(card.card, Card) and card.card.brand == "visa"
    cards.append(card)
    listed = payment_method_list.sync_detailed(PORTAL, CUSTOMER, client=client)
    assert [method.id for method in expect(PaymentMethodPage, 200, listed).data] == [card.id]


def paid_plan_is_subscribed_to_once() -> None:
    paid = subscribe("gold", "production", "gold")
    assert paid.status is SubscriptionStatus.ACTIVE
    assert paid.access.decision is AccessDecision.ALLOW
    assert isinstance(paid.stripe, SubscriptionStripe)
    assert subscribe("gold", "production", "gold") == paid
    listed = subscription_list.sync_detailed(
        PORTAL, client=client, customer=CUSTOMER, status=SubscriptionStatus.ACTIVE
    )
    both = [paid.id, subscriptions["free"].id]
    assert [each.id for each in expect(SubscriptionPage, 200, listed).data] == both
    subscriptions["paid"] = paid


def month_passes_and_is_paid() -> None:
    paid = subscriptions["paid"]
    answer = invoice_get_upcoming.sync_detailed(PORTAL, CUSTOMER, client=client)
    coming = expect(UpcomingInvoice, 200, answer)
    assert coming.subscription == paid.id and coming.total.amount == 1500
    days_pass(32)
    last, first = until(
        lambda: invoices(paid, InvoiceStatus.PAID), lambda found: len(found) == 2
    )
    assert [last.reason, first.reason] == ["subscription_cycle", "subscription_create"]
    assert last.hosted_url is not None and last.action is None
    assert last.amount_paid.amount == 1500 and last.amount_paid.currency == "usd"
    read = expect(Invoice, 200, invoice_get.sync_detailed(PORTAL, last.id, client=client))
    assert [line.amount.amount for line in read.lines] == [1500]
    assert now(paid).latest_invoice == last.id


def access_is_asked_for() -> None:
    paid = subscriptions["paid"]

    def ask(application: str) -> AccessAnswer:
        answer = access_get.sync_detailed(
            PORTAL, client=client, customer=CUSTOMER, product="weather", application=application
        )
        return expect(AccessAnswer, 200, answer)

    answer = ask("production")
    assert answer.decision is AccessDecision.ALLOW
    assert answer.subscription == paid.id and answer.plan == "gold"
    none = ask("another")
    assert none.decision is AccessDecision.DENY and none.subscription is None
    assert none.reason is AccessReason.NO_SUBSCRIPTION


def access_token_is_verified_with_the_published_keys() -> None:
    signed = access_token_get.sync_detailed(
        PORTAL, client=client, customer=CUSTOMER, product="weather", application="production"
    )
    token = expect(AccessToken, 200, signed).token
    published = expect(JsonWebKeySet, 200, access_key_set.sync_detailed(client=client))
    keys = jwt.PyJWKSet.from_dict(published.to_dict())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    audience = f"portal-billing-access:{PORTAL}"
    claims = jwt.decode(token, key, algorithms=["EdDSA"], audience=audience, issuer=BASE_URL)
    assert claims["sub"] == subscriptions["paid"].id and claims["decision"] == "allow", claims


def card_that_fails_ends_in_grace_and_paying_restores_access() -> None:
    paid = subscriptions["paid"]
    save_card("chargeCustomerFail")
    days_pass(31)
    behind = until(
        lambda: decided(paid), lambda answer: answer.decision is AccessDecision.GRACE
    )
    assert behind.reason is AccessReason.PAST_DUE and behind.until is not None
    [invoice] = invoices(paid, InvoiceStatus.OPEN)
    assert invoice.attempt_count > 0 and invoice.next_attempt_at is not None
    refused = invoice_pay.sync_detailed(
        PORTAL, invoice.id, client=client, idempotency_key="journey-pay-declined"
    )
    declined = expect(Problem, 402, refused)
    assert declined.code == "payment_declined"
    assert isinstance(declined.stripe, ProblemStripe) and declined.stripe.decline_code
    save_card("mastercard")
    settled = invoice_pay.sync_detailed(
        PORTAL, invoice.id, client=client, idempotency_key="journey-pay"
    )
    assert expect(Invoice, 200, settled).status is InvoiceStatus.PAID
    assert decided(paid).decision is AccessDecision.ALLOW


def bank_that_wants_to_see_who_pays_is_answered() -> None:
    save_card("authenticationRequired")
    begun = subscribe("gold", "staging", "bank")
    assert begun.status is SubscriptionStatus.INCOMPLETE
    assert isinstance(begun.action, SubscriptionAction) and begun.action.client_secret is not None
    intent, _, _ = begun.action.client_secret.partition("_secret_")
    at_stripe(f"/bank/{intent}/approve", {})
    finished = until(
        lambda: now(begun), lambda found: found.status is SubscriptionStatus.ACTIVE
    )
    assert finished.action is None and finished.access.decision is AccessDecision.ALLOW
    assert cancel(begun, SubscriptionCancelTime.NOW).status is SubscriptionStatus.CANCELED
    save_card("visa")


def subscription_is_cancelled_kept_and_cancelled() -> None:
    paid = subscriptions["paid"]
    later = cancel(paid, SubscriptionCancelTime.PERIOD_END)
    assert later.status is SubscriptionStatus.ACTIVE
    assert isinstance(later.current_period, BillingPeriod)
    assert later.cancel_at == later.current_period.end
    undone = subscription_undo_cancel.sync_detailed(PORTAL, paid.id, client=client)
    assert expect(Subscription, 200, undone).cancel_at is None
    ended = cancel(paid, SubscriptionCancelTime.NOW)
    assert ended.status is SubscriptionStatus.CANCELED and ended.ended_at is not None
    assert ended.access.decision is AccessDecision.DENY


def event_feed_is_read_to_its_end() -> None:
    events: list[Event] = []
    page = expect(EventPage, 200, event_list.sync_detailed(PORTAL, client=client, limit=10))
    while True:
        events += page.data
        if not page.has_more:
            break
        more = event_list.sync_detailed(PORTAL, client=client, limit=10, cursor=page.next_cursor)
        page = expect(EventPage, 200, more)
    types = {event.type_ for event in events}
    assert types >= {"customer.created", "product.created", "subscription.created", "invoice.paid"}
    of_paid = [event for event in events if event.subject == subscriptions["paid"].id]
    assert [event.sequence for event in of_paid] == list(range(1, len(of_paid) + 1))
    data = of_paid[-1].data
    # Which resource it is follows from the type.
    assert isinstance(data, EventData)
    assert Subscription.from_dict(data.to_dict()).status is SubscriptionStatus.CANCELED


def operations_are_read() -> None:
    listed = operation_list.sync_detailed(
        PORTAL,
        client=client,
        subject=subscriptions["paid"].id,
        status=OperationStatus.SUCCEEDED,
    )
    page = expect(OperationPage, 200, listed)
    assert "create_subscription" in {operation.kind for operation in page.data}
    read = operation_get.sync_detailed(PORTAL, page.data[0].id, client=client)
    operation = expect(Operation, 200, read)
    assert operation.status is OperationStatus.SUCCEEDED and operation.error is None
    stuck = operation_list.sync_detailed(PORTAL, client=client, status=OperationStatus.ATTENTION)
    assert expect(OperationPage, 200, stuck).data == []


def nothing_has_drifted_from_stripe() -> None:
    compared = reconciliation_create.sync_detailed(PORTAL, client=client, prefer="wait=30")
    found = expect(Reconciliation, 200, compared)
    assert found.status is ReconciliationStatus.DONE and found.drift == []
    assert found.compared.customers == 1 and found.compared.subscriptions > 0


def receiver_of_events_comes_and_goes() -> None:
    body = WebhookEndpointPost(
        url="https://portal.acme.example/hooks", events=["subscription.updated"]
    )
    made = webhook_endpoint_create.sync_detailed(PORTAL, client=client, body=body)
    new = expect(WebhookEndpointWithSecret, 201, made)
    assert new.secret.startswith("whsec_")
    gone = webhook_endpoint_delete.sync_detailed(PORTAL, new.endpoint.id, client=client)
    expect_empty(204, gone)


def audit_log_is_read_page_by_page() -> None:
    actions: list[str] = []
    page = expect(AuditPage, 200, audit_log_list.sync_detailed(PORTAL, client=client, limit=2))
    while True:
        actions += [entry.action for entry in page.data]
        if page.next_cursor is None:
            break
        more = audit_log_list.sync_detailed(
            PORTAL, client=client, limit=2, cursor=page.next_cursor
        )
        page = expect(AuditPage, 200, more)
    assert actions[-1] == "portal.created" and "credentials.stored" in actions, actions


def everything_is_removed() -> None:
    refused = portal_delete.sync_detailed(PORTAL, client=client)
    assert expect(Problem, 409, refused).code == "portal_in_use"
    ended = cancel(subscriptions["free"], SubscriptionCancelTime.NOW)
    assert ended.status is SubscriptionStatus.CANCELED
    expect_empty(204, credentials_delete.sync_detailed(PORTAL, client=client))
    expect_empty(204, portal_delete.sync_detailed(PORTAL, client=client))
    gone = portal_get.sync_detailed(PORTAL, client=client)
    assert expect(Problem, 404, gone).code == "not_found"


STEPS = [
    service_is_ready,
    portal_is_made_and_changed,
    problem_names_the_field,
    module_is_enabled,
    mistyped_key_is_refused,
    credentials_are_stored,
    webhook_endpoint_is_registered,
    portal_is_ready,
    product_with_a_free_and_a_paid_plan_is_published,
    product_document_is_tried,
    organization_becomes_a_customer,
    free_plan_is_subscribed_to,
    paid_plan_needs_a_payment_method,
    setup_intent_is_made,
    card_is_saved_on_a_checkout_page,
    paid_plan_is_subscribed_to_once,
    month_passes_and_is_paid,
    access_is_asked_for,
    access_token_is_verified_with_the_published_keys,
    card_that_fails_ends_in_grace_and_paying_restores_access,
    bank_that_wants_to_see_who_pays_is_answered,
    subscription_is_cancelled_kept_and_cancelled,
    event_feed_is_read_to_its_end,
    operations_are_read,
    nothing_has_drifted_from_stripe,
    receiver_of_events_comes_and_goes,
    audit_log_is_read_page_by_page,
    everything_is_removed,
]

if __name__ == "__main__":
    for step in STEPS:
        step()
        print(f"  {step.__name__.replace('_', ' ')}")
