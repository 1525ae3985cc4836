def parse(s):
    import json
    return json.loads(s)


# --- test
import json
assert parse('{"a":[1,2.5,null,true]}')=={'a':[1,2.5,None,True]}
assert json.dumps(parse('[1]'))=='[1]'
