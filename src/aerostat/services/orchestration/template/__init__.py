"""The template engine: from a text to what shall be made, in which order, with which values.

Pure: no I/O, no database; yaql alone is worked out by a process of its own. README.md beside this file shows how to
use it.
"""

from .blueprint import Blueprint, Live, NothingLive
from .environment import Environment, is_template_name, merge_environments, read_environment
from .errors import TemplateError, TemplateOutputError
from .parameters import Parameters, ParameterSchema, StackIdentity
from .sections import OutputDefinition, ResourceDefinition, Template, parse
from .snippets import Reference, select
from .text import Limits
from .versions import VERSIONS, Version, find_version, functions_view, versions_view

__all__ = [
    "VERSIONS",
    "Blueprint",
    "Environment",
    "Limits",
    "Live",
    "NothingLive",
    "OutputDefinition",
    "ParameterSchema",
    "Parameters",
    "Reference",
    "ResourceDefinition",
    "StackIdentity",
    "Template",
    "TemplateError",
    "TemplateOutputError",
    "Version",
    "find_version",
    "functions_view",
    "is_template_name",
    "merge_environments",
    "parse",
    "read_environment",
    "select",
    "versions_view",
]
