"""iperf3."""
import json

from laboratory.programs import Failure

from ..case import Outcome, Program, case, check

PORT = 5201


class Iperf3(Program):
    """one stream, many, both ways, and its zero-copy mode (sendfile)"""
    packages = ("iperf3",)

    def start(self):
        self.network.start("server", ["iperf3", "-s", "-p", PORT])
        self.network.await_port("client", "server", PORT)

    def measure(self, *options):
        """Gbit/s that arrived."""
        said = self.network.result("client", ["iperf3", "-c", self.network.address("server"), "-p", PORT, "-J",
                                              "-t", self.scale.seconds, *options]).stdout
        report = json.loads(said)
        if "error" in report:
            raise Failure(f"iperf3 {' '.join(options)}: {report['error']}")
        streams = report["end"]["streams"]
        idle = [stream for stream in streams if stream["receiver"]["bytes"] == 0]
        check(not idle, f"iperf3 {' '.join(options)}: {len(idle)} of {len(streams)} streams received nothing")
        ends = [report["end"]["sum_received"], report["end"].get("sum_received_bidir_reverse", {})]
        return Outcome(len(streams), sum(end.get("bits_per_second", 0) for end in ends) / 1e9)

    @case("1 stream", "Gbit/s")
    def one(self):
        return self.measure()

    @case("1 stream, from the server (-R)", "Gbit/s", full_only=True)
    def reverse(self):
        return self.measure("-R")

    @case("16 streams", "Gbit/s")
    def many(self):
        return self.measure("-P", "16")

    @case("16 streams, from the server (-R)", "Gbit/s", full_only=True)
    def many_reverse(self):
        return self.measure("-P", "16", "-R")

    @case("1 stream each way at once (--bidir)", "Gbit/s")
    def both(self):
        return self.measure("--bidir")

    @case("1 stream by sendfile (-Z)", "Gbit/s", full_only=True)
    def zero_copy(self):
        return self.measure("-Z")

    @case("writes of 1,000 bytes", "Gbit/s")
    def small(self):
        return self.measure("-l", "1000")

    @case("at a rate of 100 Mbit/s (-b)", "Gbit/s", full_only=True)
    def paced(self):
        return self.measure("-b", "100M")
