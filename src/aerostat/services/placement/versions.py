"""Placement's microversions. https://docs.openstack.org/placement/latest/placement-api-microversion-history.html"""

from aerostat.kernel.http.versions import Versions

VERSIONS = Versions(
    "placement",
    minimum="1.0",
    changes=[
        ("1.1", "aggregates of providers"),
        ("1.2", "custom resource classes"),
        ("1.3", "providers filtered by aggregate"),
        ("1.4", "providers filtered by what they have free"),
        ("1.5", "all inventories deleted at once"),
        ("1.6", "traits"),
        ("1.7", "resource classes made by PUT without a body"),
        ("1.8", "project and user in allocations"),
        ("1.9", "usages of projects"),
        ("1.10", "allocation candidates"),
        ("1.11", "link to allocations"),
        ("1.12", "allocations by provider"),
        ("1.13", "several consumers' allocations at once"),
        ("1.14", "providers in trees"),
        ("1.15", "last-modified and cache-control"),
        ("1.16", "a limit on candidates"),
        ("1.17", "candidates by traits"),
        ("1.18", "providers by traits"),
        ("1.19", "generation with aggregates"),
        ("1.20", "a created provider is answered"),
        ("1.21", "candidates by aggregate"),
        ("1.22", "forbidden traits"),
        ("1.23", "codes in errors"),
        ("1.24", "member_of repeated"),
    ],
)
