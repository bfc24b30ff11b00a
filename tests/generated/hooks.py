"""What the generator has to know of this API beyond its document."""

import schemathesis


def whole(value):
    """31.0 is an integer to JSON Schema and to nobody who counts money; 31 is sent instead."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    return value


@schemathesis.hook
def map_body(context, body):
    return whole(body)


@schemathesis.hook
def map_query(context, query):
    return whole(query)
