"""What the load programs of this folder share: a broker of their own, and questions to it."""
import base64
import http.client
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOGIN = {"Authorization": "Basic " + base64.b64encode(b"guest:guest").decode()}


class Broker:
    """A broker of its own, which ends with this."""

    def __init__(self, binary, data):
        command = [binary, "serve", "--data-dir", data, "--log", "warn"]
        for flag in ["--amqp", "--management", "--metrics"]:
            command += [flag, "127.0.0.1:0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        found = re.search(r"amqp://(\S+?) and http://(\S+?), metrics on http://(\S+?),", line)
        if not found:
            self.end()
            sys.exit(f"{binary} did not start: {line}")
        self.amqp, self.management, self.metrics = found.groups()
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        self.process.terminate()
        self.process.wait()

    def make_queues(self, count):
        for start in range(0, count, 50_000):
            queues = [
                {"name": f"idle-{number:06}", "vhost": "/", "durable": True, "auto_delete": False, "arguments": {}}
                for number in range(start, min(start + 50_000, count))
            ]
            ask(self.management, "POST", "/api/definitions", json.dumps({"queues": queues}))

    def bind_queues(self, count):
        """To two exchanges, each with a key of its own."""
        for start in range(0, count, 50_000):
            bindings = [
                {
                    "source": ["amq.direct", "amq.topic"][number % 2],
                    "vhost": "/",
                    "destination": f"idle-{number:06}",
                    "destination_type": "queue",
                    "routing_key": f"key.{number}",
                    "arguments": {},
                }
                for number in range(start, min(start + 50_000, count))
            ]
            ask(self.management, "POST", "/api/definitions", json.dumps({"bindings": bindings}))

    def cpu_ns(self):
        """Nanoseconds of CPU time of each thread, by its name and number."""
        spent = {}
        for task in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
            try:
                name = (task / "comm").read_text().strip()
                spent[f"{name} {task.name}"] = int((task / "schedstat").read_text().split()[0])
            except OSError:
                pass  # it has ended
        return spent

    def make_exchanges(self, count):
        more = {"vhost": "/", "type": "topic", "durable": True, "auto_delete": False, "internal": False, "arguments": {}}
        exchanges = [{"name": f"idle-{number:06}"} | more for number in range(count)]
        ask(self.management, "POST", "/api/definitions", json.dumps({"exchanges": exchanges}))

    def resident_mib(self, which="VmRSS"):
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"{which}:\s+(\d+)", status).group(1)) / 1024

    def reset_peak(self):
        """From now on VmHWM is the most that it has; gives what it has now."""
        pathlib.Path(f"/proc/{self.pid}/clear_refs").write_text("5")
        return self.resident_mib()


def ask(address, method, path, body=None, connection=None):
    connection = connection or http.client.HTTPConnection(address, timeout=120)
    headers = LOGIN | ({"Content-Type": "application/json"} if body else {})
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status >= 300:
        sys.exit(f"{method} {path}: {answer.status} {text[:200]}")
    return text
