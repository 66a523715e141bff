"""The pauses between attempts."""

from kommutator.notify.backoff import Backoff


def test_pauses_double_up_to_the_longest_and_differ_from_notice_to_notice() -> None:
    backoff = Backoff(first_s=5, longest_s=900)
    for attempt in range(1, 200):
        whole = min(900, 5 * 2 ** (attempt - 1))
        pauses = [backoff.pause_s(f"call-{n}.1", attempt) for n in range(50)]
        assert all(whole / 2 < pause <= whole for pause in pauses)
        assert len({round(pause, 6) for pause in pauses}) == 50
        assert max(pauses) - min(pauses) > whole / 3, "spread over the half that is left to chance"
    assert backoff.pause_s("a", 3) == backoff.pause_s("a", 3)
