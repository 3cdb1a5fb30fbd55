"""What a guest's agent reads with POLL_SERVER_CFN: the one action of the CloudFormation API that it asks for.

https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStackResource.html

Requests are signed (version 2) with the secret that the server found in its user data. The access key names the
server's resource, and no other can be read with it.
"""

import hmac
import json
from xml.etree.ElementTree import Element, SubElement, tostring

from aerostat.kernel.context import internal_context
from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest, Unauthorized
from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, route
from aerostat.kernel.service import iso_z

from .. import model
from ..agent_keys import row_id, signature
from ..errors import ResourceNotFound
from ..plans import arn_of
from ..reading import open_stack

_ACTION = "DescribeStackResource"


class CfnMetadata(Resource):
    below_bases = False

    @route("GET", "/cfn/v1/", public=True)
    async def describe(self, req: Request) -> Response:
        asked = {name: values[-1] for name, values in req.query.items()}
        if asked.get("Action") != _ACTION:
            raise BadRequest(f"The action {asked.get('Action')} is not supported: only {_ACTION} is.")
        row = await self._row(req, asked)
        stack = await req.db.find(model.STACKS, id=row.stack_id)
        if stack is None or stack.deleted_at is not None:
            raise Unauthorized
        if asked.get("StackName") not in (stack.name, stack.id) or asked.get("LogicalResourceId") != row.name:
            raise ResourceNotFound(resource=asked.get("LogicalResourceId"), stack=asked.get("StackName"))
        opened = await open_stack(req.house, internal_context(req.request_id, "guest"), stack)
        thing = opened.things[row.name]
        shown = {
            "StackId": arn_of(stack),
            "StackName": stack.name,
            "LogicalResourceId": row.name,
            "PhysicalResourceId": row.physical_id or "",
            "ResourceType": row.type,
            "ResourceStatus": row.state,
            "ResourceStatusReason": row.state_reason,
            "LastUpdatedTimestamp": iso_z(row.changed_at or row.created_at),
            "Metadata": json.dumps(await thing.kind.metadata(thing)),
        }
        return Response(_xml(shown), content_type="application/xml")

    async def _row(self, req: Request, asked: dict[str, str]) -> Row:
        """The row of the access key, if its secret signed the request. Raises `Unauthorized`."""
        row = await req.db.find(model.RESOURCES, id=row_id(asked.get("AWSAccessKeyId", "")), current=True)
        secret = row.data.get("cfn_secret") if row is not None else None
        given = asked.pop("Signature", "")
        if row is None or not secret or asked.get("SignatureVersion") != "2":
            raise Unauthorized
        host = req.headers.get("host", "")
        expected = signature(secret, "GET", host, f"{req.service.prefix}/cfn/v1/", asked)
        if not hmac.compare_digest(expected.encode(), given.encode()):
            raise Unauthorized
        return row


def _xml(detail: dict[str, str]) -> bytes:
    answer = Element("DescribeStackResourceResponse")
    inner = SubElement(SubElement(answer, "DescribeStackResourceResult"), "StackResourceDetail")
    for name, value in detail.items():
        SubElement(inner, name).text = value
    return bytes(tostring(answer, encoding="utf-8"))
