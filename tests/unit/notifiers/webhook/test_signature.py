from __future__ import annotations

import base64
import hashlib
import hmac

from amiguard.notifiers.webhook.signature import headers

ID, AT, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330_999, b'{"test": 2432232314}'


def test_the_example_of_the_standard_is_signed_as_the_standard_says() -> None:
    assert headers(ID, AT, BODY, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw") == {
        "webhook-id": ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_any_other_secret_is_the_key_itself() -> None:
    for secret in ("plain", "whsec_not base64", "ü"):
        mac = hmac.new(secret.encode(), f"{ID}.1614265330.".encode() + BODY, hashlib.sha256)

        signature = headers(ID, AT, BODY, secret)["webhook-signature"]
        assert signature == f"v1,{base64.b64encode(mac.digest()).decode()}"


def test_without_a_secret_nothing_is_signed() -> None:
    assert headers(ID, AT, BODY, "").keys() == {"webhook-id", "webhook-timestamp"}
