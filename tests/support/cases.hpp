// Tables of cases: a row's `name` is its test's name.
#pragma once

#include <gtest/gtest.h>

#include <string>

namespace sallyport::test {

template <typename Row>
std::string case_name(const testing::TestParamInfo<Row>& row) {
    return std::string(row.param.name);
}

}  // namespace sallyport::test
