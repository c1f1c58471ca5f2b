"""The last thing on the screen: where Dbify is, and two commands that work when they are pasted."""

import json
from collections.abc import Mapping


def banner(demo: Mapping[str, object]) -> str:
    """The banner for a demo project, with a first query and how to register a database of one's own."""
    url = demo["url"]
    query = {
        "projectId": demo["projectId"],
        "apiKey": demo["apiKey"],
        "operation": "read",
        "tableName": "Project",
        "payload": {"id": 3},
    }
    register = {"name": "mine", "databaseUrl": "postgresql://USER:PASSWORD@HOST:5432/DATABASE"}
    return f"""
  Dbify is ready: {url}

    projectId  {demo["projectId"]}
    apiKey     {demo["apiKey"]}
    account    {demo["adminEmail"]}  {demo["adminPassword"]}

  A first query:

    curl -X POST {url}/query \\
      -H 'Content-Type: application/json' \\
      -d '{json.dumps(query)}'

  A database of your own (answers its projectId and apiKey):

    curl -X POST {url}/v1/projects \\
      -H 'Authorization: Bearer {demo["adminToken"]}' \\
      -H 'Content-Type: application/json' \\
      -d '{json.dumps(register)}'
"""
