"""Identity: users, projects, roles, tokens and the catalog. Upstream: https://docs.openstack.org/api-ref/identity/v3/"""

from aerostat.kernel.house import House
from aerostat.kernel.http import envelopes, paging
from aerostat.kernel.service import Service, iso_micro_z

from . import model
from .bootstrap import bootstrap
from .client import IdentityClient
from .config import IdentityConfig
from .resources.application_credential import ApplicationCredential
from .resources.assignment import Assignment
from .resources.auth import Auth
from .resources.credential import Credential
from .resources.domain import Domain
from .resources.domain_config import DomainConfig
from .resources.endpoint_filter import EndpointGroup
from .resources.group import Group
from .resources.identity_provider import IdentityProvider
from .resources.limit import Limit, RegisteredLimit
from .resources.mapping import FederationMapping
from .resources.oauth2_token import OAuth2Token
from .resources.oauth_consumer import Consumer
from .resources.oauth_token import OAuthToken
from .resources.project import Project
from .resources.revocation import Revocation
from .resources.role import Role
from .resources.service import CatalogEndpoint, CatalogService, Region
from .resources.service_provider import ServiceProvider
from .resources.signed import SignedRequest
from .resources.stored_policy import StoredPolicy
from .resources.trust import Trust
from .resources.user import User
from .resources.versions import VersionDocuments
from .sweepers import SWEEPERS
from .tokens import Tokens
from .versions import VERSIONS


async def start(house: House) -> None:
    """Open the token keys, and let the house check tokens."""
    tokens = Tokens(house.store, house.config.section(IdentityConfig))
    await tokens.keys.load()
    house.state["identity"] = tokens
    house.authenticate = tokens.validate
    house.sign_in_path = SERVICE.prefix


SERVICE = Service(
    "identity",
    type="identity",
    project="keystone",
    prefix="/identity",
    catalog="/identity",
    versions=VERSIONS,
    envelope=envelopes.identity,
    resources=[
        VersionDocuments,
        Auth,
        Domain,
        Project,
        User,
        Group,
        Role,
        Assignment,
        CatalogService,
        CatalogEndpoint,
        Region,
        ApplicationCredential,
        Trust,
        Credential,
        SignedRequest,
        Revocation,
        Consumer,
        OAuthToken,
        OAuth2Token,
        RegisteredLimit,
        Limit,
        StoredPolicy,
        EndpointGroup,
        DomainConfig,
        IdentityProvider,
        FederationMapping,
        ServiceProvider,
    ],
    tables=model.TABLES,
    client=IdentityClient,
    paging=paging.IDENTITY,
    update_method="PATCH",
    time_format=iso_micro_z,
    invalid="Invalid input for field '%(path)s': %(reason)s",
    forbidden="You are not authorized to perform the requested action: %(rule)s.",
    sweepers=SWEEPERS,
    config=IdentityConfig,
    start=start,
    bootstrap=bootstrap,
    description="Users, projects, roles, tokens and the catalog",
)
