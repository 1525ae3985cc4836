# Tries: fetch a page
# Verdict: forbidden
import urllib.request

urllib.request.urlopen('http://127.0.0.1:{PORT}/')


def double(x):
    return x
