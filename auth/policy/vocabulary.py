"""The words that policies may use: the actions that exist, and the condition keys that requests carry.

- Actions are those of AWS's Service Authorization Reference for `ecr` and `sts`, and this registry's own `lading`.
- Prefixes that are not listed (`s3`, `iam`) are other services' business: their actions are not checked.
"""

from typing import Final

_ECR: Final = """
BatchCheckLayerAvailability BatchDeleteImage BatchGetImage BatchGetRepositoryScanningConfiguration
BatchImportUpstreamImage CompleteLayerUpload CreatePullThroughCacheRule CreateRepository
CreateRepositoryCreationTemplate DeleteLifecyclePolicy DeletePullThroughCacheRule DeleteRegistryPolicy DeleteRepository
DeleteRepositoryCreationTemplate DeleteRepositoryPolicy DeleteSigningConfiguration DeregisterPullTimeUpdateExclusion
DescribeImageReplicationStatus DescribeImageScanFindings DescribeImageSigningStatus DescribeImages
DescribePullThroughCacheRules DescribeRegistry DescribeRepositories DescribeRepositoryCreationTemplates
GetAccountSetting GetAuthorizationToken GetDownloadUrlForLayer GetImageCopyStatus GetLifecyclePolicy
GetLifecyclePolicyPreview GetRegistryPolicy GetRegistryScanningConfiguration GetRepositoryPolicy
GetSigningConfiguration InitiateLayerUpload ListImages ListPullTimeUpdateExclusions ListTagsForResource
PutAccountSetting PutImage PutImageScanningConfiguration PutImageTagMutability PutLifecyclePolicy PutRegistryPolicy
PutRegistryScanningConfiguration PutReplicationConfiguration PutSigningConfiguration RegisterPullTimeUpdateExclusion
ReplicateImage SetRepositoryPolicy StartImageScan StartLifecyclePolicyPreview TagResource UntagResource
UpdateImageStorageClass UpdatePullThroughCacheRule UpdateRepositoryCreationTemplate UploadLayerPart
ValidatePullThroughCacheRule
"""

_STS: Final = """
AssumeRole AssumeRoleWithSAML AssumeRoleWithWebIdentity AssumeRoot DecodeAuthorizationMessage GetAccessKeyInfo
GetCallerIdentity GetFederationToken GetServiceBearerToken GetSessionToken GetWebIdentityToken SetContext
SetSourceIdentity TagGetWebIdentityToken TagSession
"""

_LADING: Final = """
CreateUser GetUser ListUsers UpdateUser DeleteUser SetPassword
CreateGroup GetGroup ListGroups DeleteGroup AddUserToGroup RemoveUserFromGroup
CreateRole GetRole ListRoles UpdateRole DeleteRole PutTrustPolicy RevokeSession
CreateAccessKey GetAccessKey ListAccessKeys UpdateAccessKey DeleteAccessKey
CreateServiceToken ListServiceTokens DeleteServiceToken RevokeToken
CreateIdentityProvider GetIdentityProvider ListIdentityProviders UpdateIdentityProvider DeleteIdentityProvider
CreatePolicy GetPolicy ListPolicies PutPolicy DeletePolicy AttachPolicy DetachPolicy ListAttachedPolicies
GetPolicyVersion DeletePolicyVersion SetDefaultPolicyVersion
PutPermissionsBoundary DeletePermissionsBoundary SimulatePolicy ValidatePolicy
CreateRepository GetRepository ListRepositories UpdateRepository DeleteRepository ListTags
GetRepositoryPolicy PutRepositoryPolicy DeleteRepositoryPolicy GetRegistryPolicy PutRegistryPolicy DeleteRegistryPolicy
ListEncryptionKeys RotateRootKey RotateEncryptionKey GetEncryptionDomain DestroyEncryptionDomain KeepEncryptionDomain
ListSigningKeys RotateSigningKey RetireSigningKey ListAuditEvents VerifyAuditTrail GetSettings GetStatistics
"""

CHECKED_PREFIXES: Final = frozenset({"ecr", "sts", "lading"})
"""The services whose actions are all known here."""

ACTIONS: Final = frozenset(
    f"{prefix}:{name}"
    for prefix, names in (("ecr", _ECR), ("sts", _STS), ("lading", _LADING))
    for name in names.split()
)
"""Every action of those services, as AWS writes it."""

ACTIONS_IN_LOWER_CASE: Final = frozenset(action.lower() for action in ACTIONS)
"""The same for comparing: action names are case-insensitive."""

_GLOBAL_KEYS: Final = """
CurrentTime EpochTime FederatedProvider PrincipalAccount PrincipalArn PrincipalType Referer SecureTransport SourceIp
TagKeys TokenIssueTime UserAgent username
"""

_ECR_KEYS: Final = """
AccountSetting ArtifactType ImageDigest ImageTag
"""

_STS_KEYS: Final = """
RoleSessionName
"""

_KEYS: Final = frozenset(
    f"{prefix}:{name}".lower()
    for prefix, names in (("aws", _GLOBAL_KEYS), ("ecr", _ECR_KEYS), ("sts", _STS_KEYS))
    for name in names.split()
)
_KEY_PREFIXES: Final = ("aws:principaltag/", "aws:requesttag/", "aws:resourcetag/", "ecr:resourcetag/", "jwt:")

_OF_A_HOST: Final = frozenset(".:/")

MULTIVALUED_KEYS: Final = frozenset({"aws:tagkeys"})
"""The keys, in lower case, that hold several values in one request and so want ForAllValues or ForAnyValue."""


def is_known_key(key: str) -> bool:
    """Whether requests to this registry can carry this condition key; case does not matter."""
    lowered = key.lower()
    if lowered in _KEYS or any(lowered.startswith(prefix) and lowered != prefix for prefix in _KEY_PREFIXES):
        return True
    return claim_of(lowered) is not None


def claim_of(key: str) -> str | None:
    """The claim of an identity token, in lower case, that a condition key looks at; None for any other key."""
    # It is named by its provider, which is a host, perhaps with a port and a path, or by what sessions call it.
    provider, _, claim = key.lower().rpartition(":")
    return claim if claim and (provider == "jwt" or not _OF_A_HOST.isdisjoint(provider)) else None
