"""The number of threads is that of the caller again, whoever ends last."""

import threading

import torch

from skmeta._threads import _MANY_NUMBERS, one_thread, one_thread_if_small


def test_small_data_are_computed_in_one_thread_and_large_ones_are_not():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with one_thread_if_small(_MANY_NUMBERS - 1):
            assert torch.get_num_threads() == 1
            with one_thread(None):
                assert torch.get_num_threads() == 1
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with one_thread_if_small(_MANY_NUMBERS):
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_fits_that_overlap_leave_the_number_of_threads_as_it_was():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    inside, first_has_ended = threading.Event(), threading.Event()

    def second():
        with one_thread(None):
            inside.set()
            first_has_ended.wait(10)

    thread = threading.Thread(target=second)
    try:
        with one_thread(None):
            thread.start()
            assert inside.wait(10)
        first_has_ended.set()
        thread.join()
        assert torch.get_num_threads() == 2
        with one_thread(None):
            assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
