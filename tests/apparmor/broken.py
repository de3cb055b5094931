"""For each rule of rules.py a change that breaks it: what is taken out, what is put there instead, and a word of the fault by which that
shows."""

GUARD = "profile sallyport-guard /usr/libexec/sallyport/guard flags=(attach_disconnected) {\n"
WORKER = "profile sallyport-worker flags=(attach_disconnected) {\n"
RECORDER = "profile sallyport-recorder flags=(attach_disconnected) {\n"
BROKEN = {
    "every_program_has_a_profile_that_the_starter_changes_to":
        ("recorder rpx -> sallyport-recorder", "recorder rpx -> sallyport-guard", "sallyport-recorder: "),
    "every_profile_is_found_by_paths_from_elsewhere":
        (WORKER, "profile sallyport-worker {\n", "sallyport-worker"),
    "capabilities_are_those_that_each_lockdown_keeps":
        (RECORDER, RECORDER + "  capability chown,\n", "sallyport-recorder has ['chown', 'setpcap']"),
    "only_the_nursery_mounts": (GUARD, GUARD + "  mount fstype=tmpfs,\n", "sallyport-guard: mount"),
    "only_who_has_a_call_for_it_executes":
        (RECORDER, RECORDER + "  /usr/bin/* ix,\n", "sallyport-recorder: /usr/bin/*"),
    "the_worker_has_its_channel_and_its_program": (WORKER, WORKER + "  /etc/passwd r,\n", "/etc/passwd r"),
    "what_is_under_no_new_privileges_adds_a_profile":
        ("mrpix -> &sallyport-worker", "mrpx -> sallyport-worker", "sallyport-nursery: "),
    "what_hosts_reach_is_for_the_files_hand_and_the_broker":
        (GUARD, GUARD + "  /** r,\n", "sallyport-guard: ['/** r']"),
    "what_all_share_is_code_and_nobodys_secret": ("  network unix,\n", "  network unix,\n  /etc/shadow r,\n", "/etc/shadow"),
    "nobody_but_the_launcher_may_signal_whom_it_likes": (WORKER, WORKER + "  signal (send),\n", "sallyport-worker: signal (send)"),
}
