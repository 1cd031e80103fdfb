# SPDX-License-Identifier: Apache-2.0
"""Names: real queries to a name server of our own, in a network namespace with its own resolv.conf.

Needs root and network and mount namespaces; runs itself again inside them.
"""

import inside


class Outside(inside.Outside):
    inner = "test_names.Inside"


if inside.IS:
    import harness
    from name_server import NameServer

    class Inside(harness.Case):
        vendors = []

        @classmethod
        def setUpClass(cls):
            cls.names = NameServer({
                "api.double.test": ["127.0.0.1"],
                "six.double.test": ["::1", "127.0.0.1"],
                "mixed.double.test": ["93.184.216.34", "127.0.0.1"],
                "silent.double.test": "silent",
                "refused.double.test": "refused",
                "meta.double.test": ["169.254.169.254"],
            }).start()
            super().setUpClass()
            harness.certify(cls.place.certificates, "cert",
                            "DNS:*.double.test,DNS:localhost,IP:127.0.0.1")
            cls.add_double("stripe")
            cls.port = cls.doubles["stripe"].port

        def ask_by(self, host, private=True):
            name = host.partition(".")[0] + ("" if private else "-public")
            body = self.credential("stripe", self.port)
            body["upstream"] = f"https://{host}:{self.port}"
            body["allow_private"] = private
            self.keybrake.api("PUT", f"/v1/credentials/{name}", body)
            key = self.issue(credential=name)
            return self.ask(key, "GET", "/stripe/v1/balance")

        def test_a_name_is_looked_up_and_dialled(self):
            self.assertEqual(self.ask_by("api.double.test")[0], 200)
            self.assertIn(("api.double.test", 1), self.names.asked)

        def test_one_of_two_addresses_answers(self):
            self.assertEqual(self.ask_by("six.double.test")[0], 200)

        def test_private_addresses_are_refused_however_they_come(self):
            before = len(self.doubles["stripe"].calls)
            for host in ("api.double.test", "meta.double.test", "mixed.double.test"):
                status, headers, _ = self.ask_by(host, private=False)
                self.assertEqual((status, headers["keybrake-denied"]),
                                 (502, "upstream_unreachable"), host)
            self.assertEqual(len(self.doubles["stripe"].calls), before)

        def test_names_that_are_not(self):
            for host in ("nowhere.double.test", "refused.double.test"):
                status, headers, _ = self.ask_by(host)
                self.assertEqual((status, headers["keybrake-denied"]),
                                 (502, "upstream_unreachable"), host)

        def test_a_silent_name_server_holds_up_nobody_else(self):
            import threading
            import time
            answers = []
            thread = threading.Thread(
                target=lambda: answers.append((self.ask_by("silent.double.test"), time.monotonic())))
            began = time.monotonic()
            thread.start()
            time.sleep(0.3)
            self.assertEqual(self.ask_by("api.double.test")[0], 200)
            self.assertLess(time.monotonic() - began, 2)
            thread.join()
            (status, headers, _), ended = answers[0]
            self.assertEqual((status, headers["keybrake-denied"]), (502, "upstream_unreachable"))
            self.assertLess(ended - began, 8)
