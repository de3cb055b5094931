"""For each rule of rules.py a change that breaks it, and a word of the fault by which that shows. All are made in one module."""

# (which text, what is taken out, what is put there instead)
REPLACED = (
    ("fc", "/usr/libexec/sallyport/files\t\t--\tgen_context(system_u:object_r:sallyport_files_exec_t",
     "/usr/libexec/sallyport/files\t\t--\tgen_context(system_u:object_r:sallyport_guard_exec_t"),
    ("te", "allow sallyport_nursery_t sallyport_worker_t:process2 { nnp_transition nosuid_transition };",
     "allow sallyport_nursery_t sallyport_worker_t:process2 nnp_transition;"),
)
# rule: (what is added to the module, the fault)
BROKEN = {
    "every_program_has_a_label_and_a_domain": ("", "sallyport-files: /usr/libexec/sallyport/files is labelled"),
    "transitions_hold_where_the_kernel_doubts_them": ("", "sallyport_nursery_t to sallyport_worker_t"),
    "each_domain_is_entered_by_its_program_alone":
        ("allow sallyport_inspector_t bin_t:file entrypoint;", "sallyport_inspector_t is entered by"),
    "the_worker_is_entered_from_the_nursery_alone":
        ("allow udev_t sallyport_worker_t:process transition;", "udev_t"),
    "what_workers_share_with_the_nursery_their_own_filter_takes":
        ("allow sallyport_worker_t self:process signal;", "sallyport_worker_t sallyport_worker_t:process signal"),
    "the_worker_opens_nothing_but_what_anybody_may":
        ("allow sallyport_worker_t etc_t:file { open read };", "etc_t:file"),
    "the_worker_changes_nothing_but_arena_and_channel":
        ("allow sallyport_worker_t tmp_t:dir { add_name write };", "tmp_t:dir add_name"),
    "the_worker_makes_and_connects_no_socket":
        ("allow sallyport_worker_t self:tcp_socket create;", "tcp_socket create"),
    "only_who_has_a_call_for_it_executes":
        ("allow sallyport_files_t bin_t:file execute_no_trans;", "sallyport_files_t bin_t:file execute_no_trans"),
    "capabilities_are_those_that_each_lockdown_keeps":
        ("allow sallyport_recorder_t self:capability chown;", "sallyport_recorder_t has ['chown', 'setpcap']"),
    "only_the_guard_has_sys_admin":
        ("allow sallyport_inspector_t self:capability sys_admin;", "sallyport_inspector_t"),
    "rights_in_a_user_namespace_are_those_of_its_first_process":
        ("allow sallyport_files_t self:cap_userns sys_admin;", "sallyport_files_t: ['sys_admin']"),
    "freezing_is_three_requests_about_directories":
        ("allowxperm sallyport_guard_t root_t:dir ioctl 0x5451;", "0x5451"),
    "a_setter_changes_the_clock_or_sysfs_by_a_switch_each":
        ("allow sallyport_setter_t sysfs_t:file write;", "sallyport_setter_t sysfs_t:file write"),
    "control_groups_are_made_by_starter_and_launcher_alone":
        ("allow sallyport_recorder_t cgroup_t:file write;", "sallyport_recorder_t cgroup_t:file write"),
    "keys_of_users_are_written_by_a_switch_alone":
        ("gen_require(`\n\ttype ssh_home_t;\n')\nallow sallyport_files_t ssh_home_t:file read;", "sallyport_files_t ssh_home_t:file read"),
    "the_guard_opens_no_file_of_the_system":
        ("allow sallyport_guard_t etc_t:file { open read };", "etc_t:file"),
    "files_of_others_are_read_and_written_by_label_and_switch_alone":
        ("allow sallyport_broker_t var_t:file read;", "sallyport_broker_t var_t:file read"),
    "nobody_but_the_guard_lists_directories_that_are_not_for_it":
        ("allow sallyport_files_t tmp_t:dir read;", "sallyport_files_t tmp_t:dir read"),
    "nobody_reads_the_passwords":
        ("gen_require(`\n\ttype shadow_t;\n')\nallow sallyport_inspector_t shadow_t:file read;", "shadow_t"),
    "nobody_chooses_a_domain":
        ("allow sallyport_guard_t self:process setcurrent;", "sallyport_guard_t sallyport_guard_t:process setcurrent"),
    "bytes_of_the_host_leave_by_the_broker_or_on_its_order":
        ("gen_require(`\n\ttype syslogd_t;\n')\nallow syslogd_t sallyport_arena_t:file read;", "syslogd_t"),
    "only_who_keeps_them_has_the_standard_streams_of_the_service":
        ("init_rw_stream_sockets(sallyport_nursery_t)", "sallyport_nursery_t: standard streams are Null"),
}
NEEDED = "gen_require(`\n\ttype sysfs_t, tmp_t, udev_t, var_t, root_t;\n')\n"


def break_texts(texts):
    broken = dict(texts)
    for end, old, new in REPLACED:
        assert broken[end].count(old) == 1, f"not found once: {old}"
        broken[end] = broken[end].replace(old, new)
    broken["te"] += "\n" + NEEDED + "\n".join(added for added, _ in BROKEN.values()) + "\n"
    return broken
