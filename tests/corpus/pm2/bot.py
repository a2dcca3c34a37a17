import time


def poll():
    """Ask for messages and answer them."""


while True:
    poll()
    time.sleep(1)
