import re
def f(s): return re.match(r'(\d+)-(?P<w>\w+)',s)
P=re.compile('a+')


# --- test
m=f('12-ab')
assert m and m.group(1)=='12' and m['w']=='ab' and m.groups()==('12','ab') and m.span()==(0,5) and m.groupdict()=={'w':'ab'}
assert f('x') is None and P.findall('aab a')==['aa','a'] and P.pattern=='a+'
