"""Requests https://NAME/ again and again, each on a connection of its own, until a line comes in; then says how
many failed of how many, and from where answers came. requests.py NAME CERTIFICATE"""

import collections, json, ssl, sys, threading, time, urllib.request

name, certificate = sys.argv[1:]
context = ssl.create_default_context(cafile=certificate)
enough = threading.Event()
answers, failures = collections.Counter(), []


def run():
    while not enough.is_set():
        try:
            with urllib.request.urlopen(f"https://{name}/", context=context, timeout=5) as answer:
                answers[answer.read().decode().split()[1]] += 1
        except OSError as error:
            failures.append(repr(error))
        time.sleep(0.01)


workers = [threading.Thread(target=run) for _ in range(2)]
for worker in workers:
    worker.start()
print("requesting", flush=True)
sys.stdin.readline()
enough.set()
for worker in workers:
    worker.join()
print(json.dumps({"answers": answers, "failures": failures[:5]}), flush=True)
