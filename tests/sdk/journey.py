"""The demo's journey through the generated Python client; see run.py.

Each step is a function. A call that does not answer what it should ends the journey.
"""

import os
from http import HTTPStatus
from typing import Protocol, TypeVar

from portal_billing_client import AuthenticatedClient
from portal_billing_client.api.audit import audit_log_list
from portal_billing_client.api.portals import portal_delete, portal_get, portal_patch, portal_put
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
from portal_billing_client.models import (
    AuditPage,
    CheckStatus,
    Credentials,
    CredentialsPut,
    KeyKind,
    Metadata,
    MetadataPatch,
    Mode,
    ModuleStatus,
    OnUnpaid,
    Portal,
    PortalPatch,
    PortalPut,
    Problem,
    Proration,
    Readiness,
    StripeModule,
    StripeModulePut,
    StripeModuleSettingsPut,
    StripeWebhookEndpoint,
)
from portal_billing_client.types import Unset

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
    settings = StripeModuleSettingsPut(grace_period_days=5, on_unpaid=OnUnpaid.ALLOW)
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
    audit_log_is_read_page_by_page,
    everything_is_removed,
]

if __name__ == "__main__":
    for step in STEPS:
        step()
        print(f"  {step.__name__.replace('_', ' ')}")
