"""Which test shows which field: every source and param field of git, time and registry-image that pipelines use (reference 09 §14)."""

import re

import pytest

import harness

INTEGRATION, UNIT = harness.ROOT / "tests/integration", harness.ROOT / "tests/unit/resources"
GIT, GIT_SERVERS, IMAGE, TIME = "test_git_fields.py", "test_git_servers.py", "test_registry_image.py", "test_time.c"

# (type, where, field, file, test): the test's own text or its table names the field.
FIELDS = [
    ("git", "source", "uri", GIT, "source"),
    ("git", "source", "branch", GIT, "test_check_finds_the_commits_of_a_branch_and_of_its_paths"),
    ("git", "source", "private_key", GIT_SERVERS, "test_ssh_key_opens_the_repository"),
    ("git", "source", "paths", GIT, "test_check_finds_the_commits_of_a_branch_and_of_its_paths"),
    ("git", "source", "ignore_paths", GIT, "test_check_finds_the_commits_of_a_branch_and_of_its_paths"),
    ("git", "source", "tag_filter", GIT, "test_check_finds_tags"),
    ("git", "source", "tag_regex", GIT, "test_check_finds_tags"),
    ("git", "source", "username", GIT_SERVERS, "test_http_password_opens_the_repository"),
    ("git", "source", "password", GIT_SERVERS, "test_http_password_opens_the_repository"),
    ("git", "source", "sparse_paths", GIT, "test_get_takes_a_depth_other_branches_submodules_and_a_part_of_the_tree"),
    ("git", "source", "version_type", GIT, "test_keys_of_newer_versions_are_refused_by_name"),
    ("git", "source", "tag_sort", GIT, "test_keys_of_newer_versions_are_refused_by_name"),
    ("git", "source", "branch_filters", GIT, "test_keys_of_newer_versions_are_refused_by_name"),
    ("git", "get", "submodules", GIT, "test_get_takes_a_depth_other_branches_submodules_and_a_part_of_the_tree"),
    ("git", "get", "fetch", GIT, "test_get_takes_a_depth_other_branches_submodules_and_a_part_of_the_tree"),
    ("git", "get", "depth", GIT, "test_get_takes_a_depth_other_branches_submodules_and_a_part_of_the_tree"),
    ("git", "put", "repository", GIT, "put"),
    ("git", "put", "merge", GIT, "test_put_rebases_or_merges_and_tags_what_it_pushed"),
    ("git", "put", "rebase", GIT, "test_put_rebases_or_merges_and_tags_what_it_pushed"),
    ("git", "put", "tag", GIT, "test_put_rebases_or_merges_and_tags_what_it_pushed"),
    ("git", "put", "tag_prefix", GIT, "test_put_rebases_or_merges_and_tags_what_it_pushed"),
    ("git", "put", "branch", GIT, "test_put_to_another_branch_is_gotten_from_there"),
    ("git", "file", ".git/ref", GIT, "test_get_takes_a_depth_other_branches_submodules_and_a_part_of_the_tree"),
    ("registry-image", "source", "repository", IMAGE, "test_a_tag_is_its_digest_and_a_new_one_comes_after_the_given"),
    ("registry-image", "source", "tag", IMAGE, "test_a_tag_is_its_digest_and_a_new_one_comes_after_the_given"),
    ("registry-image", "source", "username", IMAGE, "test_passwords_are_asked_for_and_wrong_ones_refused"),
    ("registry-image", "source", "password", IMAGE, "test_passwords_are_asked_for_and_wrong_ones_refused"),
    ("registry-image", "source", "semver_constraint", IMAGE, "test_without_a_tag_versions_are_semantic_and_constraints_choose"),
    ("registry-image", "get", "platform", IMAGE, "test_the_platform_chooses_among_the_images_of_an_index"),
    ("registry-image", "get", "format", IMAGE, "test_format_oci_layout_has_all_platforms_and_the_index_to_the_byte"),
    ("registry-image", "get", "skip_download", IMAGE, "test_skip_download_asks_the_registry_nothing"),
    ("registry-image", "put", "image", IMAGE, "test_a_layout_is_pushed_as_it_is"),
    ("registry-image", "put", "version", IMAGE, "test_versions_aliases_and_additional_tags_are_pushed"),
    ("registry-image", "put", "bump_aliases", IMAGE, "test_versions_aliases_and_additional_tags_are_pushed"),
    ("registry-image", "put", "additional_tags", IMAGE, "test_versions_aliases_and_additional_tags_are_pushed"),
    ("time", "source", "interval", "test_resource_types.py", "test_time_knows_the_zones_of_the_world"),
    ("time", "source", "location", "test_resource_types.py", "test_time_knows_the_zones_of_the_world"),
    ("time", "source", "start", TIME, "checks"),
    ("time", "source", "stop", TIME, "checks"),
]


def part(path, name):
    """The text of a function or table with that name, with its decorators or up to the next one at the margin."""
    text = path.read_text()
    if path.suffix == ".py":
        found = re.search(rf"^((?:@.*\n(?:[ \)\]].*\n)*)*def {name}\(.*\n(?:(?:[ \)].*)?\n)*)", text, re.M)
    else:
        found = re.search(rf"^static .*\b{name}\[\] = \{{\n(.*\n)*?\}};", text, re.M)
    assert found, f"{path.name} has no {name}"
    return found.group(0)


@pytest.mark.parametrize("kind, where, field, file, name", FIELDS)
def test_the_field_is_shown(kind, where, field, file, name):
    path = (UNIT if file.endswith(".c") else INTEGRATION) / file
    text = part(path, name)
    helpers = "".join(part(path, word) for word in set(re.findall(r"\b([a-z_]+)\(", text)) - {name} if re.search(rf"^def {word}\(", path.read_text(), re.M))
    assert re.search(rf"\b{re.escape(field)}\b" if field[0] != "." else re.escape(field), text + helpers), f"{name} does not say {field}"
