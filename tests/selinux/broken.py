"""For each rule of rules.py and places.py a change that breaks it, and a word of the fault by which that shows. All are made in one module."""

# (which text, what is taken out, what is put there instead)
REPLACED = (
    ("fc", "/usr/libexec/sallyport/files\t\t--\tgen_context(system_u:object_r:sallyport_files_exec_t",
     "/usr/libexec/sallyport/files\t\t--\tgen_context(system_u:object_r:sallyport_guard_exec_t"),
    ("te", "allow sallyport_nursery_t sallyport_worker_t:process2 { nnp_transition nosuid_transition };",
     "allow sallyport_nursery_t sallyport_worker_t:process2 nnp_transition;"),
    ("te", "allow sallyport_guard_t { file_type -security_file_type unlabeled_t }:dir { getattr",
     "allow sallyport_guard_t { file_type -security_file_type }:dir { getattr"),
    ("te", "allow sallyport_program_domain sallyport_output_t:file { getattr read write };",
     "allow sallyport_program_domain sallyport_output_t:file { getattr read };"),
    ("te", "allow unconfined_t sallyport_output_t:file { getattr read write };", ""),
    ("te", "udev_read_runtime_files(sallyport_inspector_t)", ""),
    ("fc", "/var/lib/sallyport/audit\\.jsonl.*\t", "/var/lib/sallyport/audit\\.json\t"),
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
    "what_the_agent_keeps_has_types_of_its_own": ("", "/var/lib/sallyport/audit.jsonl is labelled sallyport_state_t, not sallyport_log_t"),
    "what_the_agent_keeps_is_changed_by_who_keeps_it":
        ("allow sallyport_files_t sallyport_conf_t:file write;", "sallyport_files_t sallyport_conf_t:file write"),
    "the_inspector_opens_what_its_tables_name":
        ("gen_require(`\n\ttype var_log_t;\n')\nallow sallyport_inspector_t var_log_t:file { open read };", "it opens var_log_t"),
    "programs_get_what_the_launcher_hands_them": ("", "sallyport_hook_t sallyport_output_t:file lacks ['write']"),
}
# The same for what such a rule says besides: (rule, what is added to the module, the fault).
ALSO = (
    ("the_worker_is_entered_from_the_nursery_alone",
     "allow sallyport_broker_t sallyport_worker_t:process dyntransition;", "sallyport_broker_t sallyport_worker_t:process dyntransition"),
    ("the_worker_changes_nothing_but_arena_and_channel",
     "allow sallyport_worker_t tty_device_t:chr_file write;", "sallyport_worker_t tty_device_t:chr_file write"),
    ("the_worker_makes_and_connects_no_socket",
     "allow sallyport_worker_t init_t:unix_stream_socket connectto;", "init_t:unix_stream_socket connectto"),
    ("only_who_has_a_call_for_it_executes",
     "allow sallyport_broker_t sallyport_guard_t:process transition;", "sallyport_broker_t sallyport_guard_t:process transition"),
    ("capabilities_are_those_that_each_lockdown_keeps",
     "allow sallyport_setter_t self:capability sys_time;", "sallyport_setter_t: sys_time is under ''"),
    ("freezing_is_three_requests_about_directories", "", "labelled unlabeled_t cannot be frozen"),
    ("a_setter_changes_the_clock_or_sysfs_by_a_switch_each",
     "allow sallyport_setter_t etc_t:file open;", "sallyport_setter_t etc_t:file open"),
    ("a_setter_changes_the_clock_or_sysfs_by_a_switch_each",
     "allow sallyport_files_t sallyport_setter_t:process transition;", "sallyport_files_t sallyport_setter_t:process transition"),
    ("keys_of_users_are_written_by_a_switch_alone",
     "gen_require(`\n\ttype user_home_t;\n')\nallow sallyport_launcher_t user_home_t:file write;", "sallyport_launcher_t user_home_t:file write"),
    ("files_of_others_are_read_and_written_by_label_and_switch_alone",
     "tunable_policy(`sallyport_read_exports',`\n\tallow sallyport_files_t sallyport_export_t:file write;\n')",
     "sallyport_files_t sallyport_export_t:file write [sallyport_read_exports]"),
    ("nobody_reads_the_passwords", "allow sallyport_program_t shadow_t:file read;", "sallyport_program_t shadow_t:file read"),
    ("bytes_of_the_host_leave_by_the_broker_or_on_its_order",
     "allow sallyport_inspector_t sallyport_channel_t:chr_file read;", "sallyport_inspector_t reads the channel"),
    ("bytes_of_the_host_leave_by_the_broker_or_on_its_order",
     "allow sallyport_worker_t syslogd_t:unix_dgram_socket sendto;", "sallyport_worker_t syslogd_t:unix_dgram_socket sendto"),
    ("bytes_of_the_host_leave_by_the_broker_or_on_its_order",
     "allow sallyport_files_t var_t:file append;", "sallyport_files_t var_t:file append"),
    ("what_the_agent_keeps_is_changed_by_who_keeps_it",
     "allow sallyport_launcher_t sallyport_guard_exec_t:file write;", "sallyport_launcher_t sallyport_guard_exec_t:file write"),
    ("what_the_agent_keeps_is_changed_by_who_keeps_it",
     "allow sallyport_recorder_t sallyport_log_t:file write;", "sallyport_recorder_t sallyport_log_t:file write"),
    ("the_inspector_opens_what_its_tables_name", "", "/run/udev/data is labelled ['udev_runtime_t'], which it cannot open"),
    ("programs_get_what_the_launcher_hands_them", "", "unconfined_t sallyport_output_t:file lacks ['read', 'write']"),
)
NEEDED = "gen_require(`\n\ttype sysfs_t, tmp_t, udev_t, var_t, root_t;\n')\n"


def break_texts(texts):
    broken = dict(texts)
    for end, old, new in REPLACED:
        assert broken[end].count(old) == 1, f"not found once: {old}"
        broken[end] = broken[end].replace(old, new)
    broken["te"] += "\n" + NEEDED + "\n".join([*(added for added, _ in BROKEN.values()), *(added for _, added, _ in ALSO)]) + "\n"
    return broken
