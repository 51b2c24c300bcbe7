"""A script that does what the body says, in the ways code goes wrong."""

FAULTY = """
import collections, ctypes, itertools, json, os, signal, subprocess, sys, threading, time

def init():
    pass

lock = threading.Lock()

def swallow():
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass

def run(data):
    order = json.loads(data)
    what = order.get("do", "echo")
    if what == "echo":
        return {"pid": os.getpid(), "token": order.get("token")}
    if what == "sleep":
        time.sleep(order["seconds"])
    elif what == "exit":
        os._exit(order["status"])
    elif what == "sys.exit":
        sys.exit(order["status"])
    elif what == "signal":
        os.kill(os.getpid(), order["number"])
        time.sleep(60)
    elif what == "segfault":
        ctypes.string_at(0)
    elif what == "abort":
        os.abort()
    elif what == "recursion":
        sys.setrecursionlimit(10**9)
        call = ctypes.CFUNCTYPE(None)(lambda: call())
        call()
    elif what == "MemoryError":
        bytearray(1 << 62)
    elif what == "KeyboardInterrupt":
        raise KeyboardInterrupt
    elif what == "spin":
        while True:
            pass
    elif what == "swallow":
        open(order.get("path", os.devnull), "w").close()
        swallow()
    elif what == "c code":
        # A minute or more without a look at signals, and nobody else may run.
        collections.deque(itertools.repeat(None, 10**10), maxlen=0)
    elif what == "deadlock":
        with lock:
            lock.acquire()
    elif what == "join":
        thread = threading.Thread(target=time.sleep, args=(60,))
        thread.start()
        thread.join()
    elif what == "thread":
        threading.Thread(target=time.sleep, args=(600,)).start()
    elif what == "fork":
        if os.fork() == 0:  # in a session of its own, with every descriptor
            os.setsid()
            time.sleep(3)
            os._exit(0)
    elif what == "child":
        child = subprocess.Popen(["sleep", "600"])
        open(order["path"], "w").write(str(child.pid))
        if order["then"] == "exit":
            os._exit(1)
        swallow()
    return what
"""
