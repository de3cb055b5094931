// The words of the policy language, as the compiler itself has them: which keys each table takes, and which words a key accepts.
// Runs in:  the policy tool
#pragma once

#include <map>
#include <string>
#include <vector>

namespace sallyport::policy::compile {

struct Vocabulary {
    using Words = std::map<std::string, std::vector<std::string>, std::less<>>;
    Words keys;   // by whose they are, in the compiler's own words: "an allow rule"
    Words words;  // by key
};

/// Has the compiler read a text in which every table stands, and listens to what it asks for. So a schema that is made of this is that of
/// the compiler.
Vocabulary vocabulary();

/// Where the readers say what they ask for; null: nobody listens.
Vocabulary*& listener();

}  // namespace sallyport::policy::compile
